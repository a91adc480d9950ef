//! The store and the compiler together: what is done off the control thread, a batch at a time.

use super::interest::{Eye, Interest};
use super::kind::Kind;
use super::store::{Part, Store};
use super::trim::Seen;
use crate::{Compiler, Finding, Scope, Snapshot, yaml};
use std::sync::Arc;

/// What happens to a store.
pub(super) enum Step<T> {
    /// A list of this part begins.
    Begin(Part),
    /// An object is there.
    Apply(Part, &'static Kind, T),
    /// An object is gone.
    Remove(Part, (Arc<str>, Arc<str>)),
    /// The list of this part ended.
    End(Part),
    /// The part is not watched any more.
    Forget(Part),
}

/// The keeper.
#[derive(Debug)]
pub(super) struct Keeper {
    store: Store,
    compiler: Compiler,
    eye: Eye,
    interest: Interest,
    /// Something changed that is not compiled.
    is_changed: bool,
}

impl Keeper {
    /// Of an empty store.
    pub(super) fn new(eye: &Eye, scope: Scope) -> Self {
        let store = Store::new(Arc::clone(&eye.own));
        Self {
            interest: Interest::of(&store, eye),
            store,
            compiler: Compiler::new(scope),
            eye: eye.clone(),
            is_changed: true,
        }
    }

    /// What counts.
    pub(super) fn interest(&self) -> &Interest {
        &self.interest
    }

    /// Whether there is something to compile.
    pub(super) fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// Objects held.
    pub(super) fn count(&self) -> usize {
        self.store.count()
    }

    /// istiod told something, which leads elsewhere as a Service does. Blocking.
    pub(super) fn hear(&mut self) {
        self.interest = Interest::of(&self.store, &self.eye);
        self.is_changed = true;
    }

    /// Takes a batch in. Blocking.
    pub(super) fn take(&mut self, batch: Vec<Step<Seen>>) {
        let mut is_changed = false;
        // Pods and endpoints lead nowhere.
        let mut is_led = false;
        for step in batch {
            let (changed, kind) = match step {
                Step::Begin(part) => {
                    self.store.begin(&part);
                    (false, part.kind)
                }
                Step::Apply(part, kind, seen) => (self.store.apply(&part, kind, seen), kind.name),
                Step::Remove(part, key) => (self.store.remove(&part, &key), part.kind),
                Step::End(part) => (self.store.end(&part), part.kind),
                Step::Forget(part) => (self.store.forget(&part), part.kind),
            };
            is_changed |= changed;
            is_led |= changed && !matches!(kind, "Pod" | "EndpointSlice");
        }
        if is_led {
            self.interest = Interest::of(&self.store, &self.eye);
        }
        self.is_changed |= is_changed;
    }

    /// Compiles what counts. Blocking.
    ///
    /// # Errors
    /// The compiler panicked, which is a bug: the last good state stays.
    pub(super) fn compile(&mut self) -> std::io::Result<(Arc<Snapshot>, Vec<Finding>)> {
        self.is_changed = false;
        let mut resources = self.interest.resources(&self.store, &self.eye);
        if let Some(istiod) = &self.eye.istiod {
            istiod.merge(&mut resources);
        }
        let compiler = &mut self.compiler;
        let (snapshot, mut findings) = yaml::on_deep_stack(|| compiler.compile(&resources))?;
        findings.retain(|finding| self.interest.is_ours(finding, &self.eye));
        findings.extend(self.interest.finding());
        findings.extend(self.store.finding());
        Ok((snapshot, findings))
    }
}
