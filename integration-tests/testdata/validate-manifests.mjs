// Validates Kubernetes manifests against the schemas that their projects publish (as the kubernetes-models packages
// carry them). Arguments: YAML or JSON files. Prints a line for each object; exits 1 when one is not valid.
import { readFileSync } from "node:fs";
import YAML from "yaml";

// Kinds whose project publishes no package of schemas.
const unpublished = ["projectcalico.org", "flagger.app"];
const packages = {
  "gateway.networking.k8s.io": "@kubernetes-models/gateway-api",
  "argoproj.io": "@kubernetes-models/argo-rollouts",
  "keda.sh": "@kubernetes-models/keda",
  "monitoring.coreos.com": "@kubernetes-models/prometheus-operator",
};

async function model(apiVersion, kind) {
  const [version, group = ""] = apiVersion.split("/").reverse();
  // The package is named by the group, except that groups without a dot are Kubernetes' own.
  const istio = group.endsWith(".istio.io") ? "@kubernetes-models/istio" : undefined;
  const path = [packages[group] ?? istio ?? "kubernetes-models", group, version].filter(Boolean).join("/");
  const found = (await import(path))[kind];
  if (!found) throw new Error(`no ${kind} in ${path}`);
  return found;
}

let bad = 0;
for (const file of process.argv.slice(2)) {
  for (const document of YAML.parseAllDocuments(readFileSync(file, "utf8"))) {
    for (const object of [document.toJS()].flat().filter(Boolean)) {
      const name = `${file}: ${object.kind} ${object.metadata?.name}`;
      if (unpublished.includes(object.apiVersion?.split("/")[0])) {
        console.log(`${name}: no published schema`);
        continue;
      }
      try {
        if (document.errors.length) throw document.errors[0];
        const Model = await model(object.apiVersion, object.kind);
        new Model(object).validate();
        console.log(`${name}: valid`);
      } catch (error) {
        bad += 1;
        console.log(`${name}: ${error.message}`);
      }
    }
  }
}
process.exit(bad ? 1 : 0);
