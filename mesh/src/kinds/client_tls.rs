//! `tls` of a DestinationRule (Istio's ClientTLSSettings): what is spoken to the endpoints of a host.

use crate::decode::{Fields, quoted};

/// The block, not yet resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientTls {
    /// `mode`.
    pub(crate) mode: Mode,
    /// `credentialName`: a Secret in the waypoint's namespace.
    pub(crate) credential: Option<Box<str>>,
    /// `sni`.
    pub(crate) sni: Option<Box<str>>,
    /// `subjectAltNames`.
    pub(crate) sans: Vec<Box<str>>,
    /// `insecureSkipVerify`.
    pub(crate) skips_verification: bool,
    /// Something in it cannot be in force: nothing is sent.
    pub(crate) is_broken: bool,
}

/// `mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// No TLS.
    Disable,
    /// We check the server.
    Simple,
    /// And the server checks us.
    Mutual,
    /// The mesh's own: through HBONE only.
    IstioMutual,
}

impl ClientTls {
    /// Reads `tls` of these fields.
    pub(crate) fn read(fields: &Fields<'_>) -> Option<Self> {
        let is_given = fields.get("tls").is_some();
        let read = fields.record("tls", block);
        // A block that cannot be read at all must not mean clear text.
        read.or_else(|| is_given.then(Self::broken))
    }

    fn broken() -> Self {
        Self {
            mode: Mode::Simple,
            credential: None,
            sni: None,
            sans: Vec::new(),
            skips_verification: false,
            is_broken: true,
        }
    }
}

fn block(fields: &Fields<'_>) -> ClientTls {
    let mode = match fields.text("mode").unwrap_or("DISABLE") {
        "DISABLE" => Some(Mode::Disable),
        "SIMPLE" => Some(Mode::Simple),
        "MUTUAL" => Some(Mode::Mutual),
        "ISTIO_MUTUAL" => Some(Mode::IstioMutual),
        other => {
            let known = "DISABLE, SIMPLE, MUTUAL or ISTIO_MUTUAL";
            fields.error(
                "mode",
                format!("expected {known}, found {}: nothing is sent", quoted(other)),
            );
            None
        }
    };
    let mut tls = ClientTls {
        mode: mode.unwrap_or(Mode::Simple),
        credential: text(fields, "credentialName"),
        sni: text(fields, "sni"),
        sans: fields
            .texts("subjectAltNames", 256)
            .into_iter()
            .map(Box::from)
            .collect(),
        skips_verification: fields.boolean("insecureSkipVerify").unwrap_or(false),
        is_broken: mode.is_none(),
    };
    files(fields, &mut tls);
    if tls.mode == Mode::Mutual && tls.credential.is_none() && !tls.is_broken {
        fields.error(
            "credentialName",
            "`credentialName` is missing: mode MUTUAL needs one; nothing is sent",
        );
        tls.is_broken = true;
    }
    if tls.skips_verification && matches!(tls.mode, Mode::Simple | Mode::Mutual) {
        let message = "any certificate of the server will do: whoever is on the way can read and change everything";
        fields.warning("insecureSkipVerify", message);
    }
    tls
}

/// Files on the proxy's disk are no part of the config, so that nothing is known of them.
fn files(fields: &Fields<'_>, tls: &mut ClientTls) {
    let originates = matches!(tls.mode, Mode::Simple | Mode::Mutual);
    for name in ["caCertificates", "clientCertificate", "privateKey", "caCrl"] {
        let Some(path) = text(fields, name) else { continue };
        if !originates || (name == "caCertificates" && &*path == "system") {
            continue;
        }
        let message = format!(
            "files are not read, found {}: put it into a Secret and name that by `credentialName`; nothing is sent",
            quoted(&path)
        );
        fields.error(name, message);
        tls.is_broken = true;
    }
}

fn text(fields: &Fields<'_>, name: &'static str) -> Option<Box<str>> {
    fields.text(name).filter(|text| !text.is_empty()).map(Box::from)
}
