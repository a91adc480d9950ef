//! What came of objects in the compile before: a change costs about as much as what changed.
//!
//! What an object compiles to depends on itself, on some objects that belong to it, and on what it refers to. The last is
//! not followed reference by reference: as long as every object of all other kinds is the same, so is what came of each
//! object that is the same itself.

use crate::object::Object;
use crate::resources::Index;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// What came of the objects of some kinds.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    /// Kinds that no outcome depends on, but for the objects it names itself.
    free: &'static [&'static str],
    /// All objects of other kinds.
    basis: Vec<Arc<Object>>,
    /// By the address of the object, which is kept alive: no other object can have it.
    held: HashMap<usize, Box<Held<T>>>,
    turn: u64,
    /// How many were asked for in this turn.
    asked: usize,
}

#[derive(Debug)]
struct Held<T> {
    /// Kept alive.
    object: Arc<Object>,
    beside: Box<[Arc<Object>]>,
    outcome: T,
    turn: u64,
}

impl<T> Kept<T> {
    /// Nothing yet. Outcomes depend on the objects of all kinds but `free`, beside their own.
    pub(super) fn new(free: &'static [&'static str]) -> Self {
        Self {
            free,
            basis: Vec::new(),
            held: HashMap::new(),
            turn: 0,
            asked: 0,
        }
    }

    /// A compile begins. True when all outcomes of the one before hold whose own objects are the same.
    pub(super) fn begin(&mut self, index: &Index<'_>) -> bool {
        self.turn = self.turn.wrapping_add(1);
        self.asked = 0;
        let free = self.free;
        let basis = || index.beside(free);
        let mut before = self.basis.iter();
        let is_same = basis().all(|one| before.next().is_some_and(|known| Arc::ptr_eq(known, one)));
        if is_same && before.next().is_none() {
            return true;
        }
        self.basis = basis().cloned().collect();
        self.held.clear();
        false
    }

    /// About so many objects will be asked for.
    pub(super) fn expect(&mut self, many: usize) {
        self.held.reserve(many.saturating_sub(self.held.len()));
    }

    /// What comes of an object, given the objects of free kinds that belong to it (`beside`, always in one order): as it
    /// was when all of them are the same.
    pub(super) fn outcome(&mut self, object: &Arc<Object>, beside: &[&Arc<Object>], compile: impl FnOnce() -> T) -> &T {
        let (turn, place) = (self.turn, Arc::as_ptr(object).addr());
        let holds = |held: &Held<T>| {
            let mut pairs = held.beside.iter().zip(beside);
            Arc::ptr_eq(&held.object, object)
                && held.beside.len() == beside.len()
                && pairs.all(|(known, one)| Arc::ptr_eq(known, one))
        };
        self.asked = self.asked.saturating_add(1);
        let fresh = || {
            Box::new(Held {
                object: Arc::clone(object),
                beside: beside.iter().map(|one| Arc::clone(one)).collect(),
                outcome: compile(),
                turn,
            })
        };
        let held = match self.held.entry(place) {
            Entry::Occupied(held) if holds(held.get()) => held.into_mut(),
            Entry::Occupied(mut held) => {
                held.insert(fresh());
                held.into_mut()
            }
            Entry::Vacant(room) => room.insert(fresh()),
        };
        held.turn = turn;
        &held.outcome
    }

    /// A compile ends: what it did not ask for is forgotten.
    pub(super) fn finish(&mut self) {
        if self.asked != self.held.len() {
            self.held.retain(|_, held| held.turn == self.turn);
        }
    }
}
