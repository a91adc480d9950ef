//! All objects that were read, and the indexes by which they find each other.

use crate::finding::{Finding, Place, Severity};
use crate::object::{self, NoObject, Object, Origin, SourceFile};
use crate::yaml;
use serde_json::Value;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

/// What all regular expressions of a folder may compile to, as the regex crate counts. Those beyond are not in force.
pub(crate) const MAX_REGEX_BYTES: usize = 64 << 20;

/// The latest good state of every object that was read, by kind. Parsed; from files or from a cluster.
#[derive(Debug, Default)]
pub struct Resources {
    pub(crate) objects: Vec<Arc<Object>>,
    pub(crate) bad: Vec<Arc<NoObject>>,
    /// Findings of the reader itself: broken files, limits.
    pub(crate) unread: Vec<Finding>,
}

impl Resources {
    /// Objects as the API server gives them.
    pub fn from_json(values: impl IntoIterator<Item = Value>) -> Self {
        let mut parsed = Parsed::default();
        let mut room = MAX_REGEX_BYTES;
        for value in values {
            object::read(&value, None, &mut room, &mut parsed.objects, &mut parsed.bad);
        }
        let mut resources = Self::default();
        resources.add(&parsed.freeze());
        resources
    }

    /// Puts an object in place of the one with its kind and name, or adds it; as a watch of the API server tells it.
    pub fn apply(&mut self, value: Value) {
        let mut parsed = Parsed::default();
        let taken: usize = self.objects.iter().map(|object| object.regex_bytes).sum();
        let mut room = MAX_REGEX_BYTES.saturating_sub(taken);
        object::read(&value, None, &mut room, &mut parsed.objects, &mut parsed.bad);
        for object in parsed.objects {
            match self.objects.iter_mut().find(|known| known.is_same(&object)) {
                Some(known) => *known = object,
                None => self.objects.push(object),
            }
        }
        self.bad.extend(parsed.bad.into_iter().map(Arc::new));
    }

    /// Removes an object, if it is there.
    pub fn delete(&mut self, kind: &str, namespace: &str, name: &str) {
        self.objects.retain(|object| {
            *object.meta.name != *name || *object.kind != *kind || *object.meta.namespace != *namespace
        });
    }

    /// The objects of one YAML text, as if it were the file `path`.
    pub fn from_yaml(path: &Path, text: &str) -> Self {
        let mut resources = Self::default();
        match yaml::on_deep_stack(|| parse_file(path, text, MAX_REGEX_BYTES)) {
            Ok(Ok(parsed)) => resources.add(&parsed),
            Ok(Err(finding)) => resources.unread.push(*finding),
            Err(error) => resources.unread.push(unreadable(path, &error.to_string())),
        }
        resources
    }

    /// None yet, with room for so many.
    pub(crate) fn with_capacity(objects: usize) -> Self {
        Self {
            objects: Vec::with_capacity(objects),
            ..Self::default()
        }
    }

    /// Adds the objects of one file.
    pub(crate) fn add(&mut self, parsed: &ParsedFile) {
        self.objects.extend(parsed.objects.iter().cloned());
        self.bad.extend(parsed.bad.iter().cloned());
    }
}

#[derive(Debug, Default)]
struct Parsed {
    objects: Vec<Arc<Object>>,
    bad: Vec<NoObject>,
}

impl Parsed {
    fn freeze(self) -> ParsedFile {
        ParsedFile {
            objects: self.objects.into(),
            bad: self.bad.into_iter().map(Arc::new).collect(),
        }
    }
}

/// What one file holds.
#[derive(Debug, Default)]
pub(crate) struct ParsedFile {
    objects: Box<[Arc<Object>]>,
    bad: Box<[Arc<NoObject>]>,
}

impl ParsedFile {
    /// How many objects.
    pub(crate) fn count(&self) -> usize {
        self.objects.len()
    }

    /// What its regular expressions take.
    pub(crate) fn regex_bytes(&self) -> usize {
        self.objects.iter().map(|object| object.regex_bytes).sum()
    }

    /// Where a document of this reading is no object, it may be any object of the reading before that is missing now:
    /// those stay in force, as they were.
    pub(crate) fn keep_last_good(&mut self, before: &Self) {
        if self.bad.is_empty() {
            return;
        }
        let named: HashSet<String> = self.objects.iter().map(|object| object.to_string()).collect();
        let missing = before
            .objects
            .iter()
            .filter(|object| !named.contains(&object.to_string()));
        self.objects = self.objects.iter().chain(missing).cloned().collect();
    }
}

/// Parses a file. Call it on a deep stack. Its regular expressions may take `regex_room` bytes.
///
/// # Errors
/// It is no YAML: nothing of it can be used.
pub(crate) fn parse_file(path: &Path, text: &str, mut regex_room: usize) -> Result<ParsedFile, Box<Finding>> {
    let documents = yaml::documents(text).map_err(|bad| {
        Box::new(Finding {
            severity: Severity::Error,
            object: None,
            field: None,
            place: Some(Place {
                file: path.to_owned(),
                line: bad.line,
                column: bad.column,
            }),
            message: format!(
                "{}: nothing of this file is used; its last good state stays in force",
                bad.message
            ),
        })
    })?;
    let file = Arc::new(SourceFile {
        path: path.to_owned(),
        hash: content_hash(text.as_bytes()),
    });
    let mut parsed = Parsed::default();
    for (index, document) in documents.iter().enumerate() {
        let (line, column) = (document.line, document.column);
        let origin = Origin {
            file: Arc::clone(&file),
            document: u32::try_from(index).unwrap_or(u32::MAX),
            item: None,
            line,
            column,
        };
        object::read(
            &document.value,
            Some(origin),
            &mut regex_room,
            &mut parsed.objects,
            &mut parsed.bad,
        );
    }
    Ok(parsed.freeze())
}

/// A file that could not be read at all.
pub(crate) fn unreadable(path: &Path, why: &str) -> Finding {
    Finding {
        severity: Severity::Error,
        object: None,
        field: None,
        place: Some(Place {
            file: path.to_owned(),
            line: 1,
            column: 1,
        }),
        message: why.to_owned(),
    }
}

/// Tells one content from another.
pub(crate) fn content_hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// `namespace`, `name`.
pub(crate) type Name = (Arc<str>, Arc<str>);

/// Objects by kind and name; the first of equal names wins.
#[derive(Debug, Default)]
pub(crate) struct Index<'r> {
    by_kind: BTreeMap<&'r str, Vec<&'r Arc<Object>>>,
    by_name: HashMap<Key<'r>, &'r Arc<Object>>,
}

/// A kind and a name, hashed once for each object.
#[derive(Debug, PartialEq, Eq)]
struct Key<'r> {
    id: u64,
    name: (&'r str, &'r str, &'r str),
}

impl Hash for Key<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl<'r> Index<'r> {
    /// Indexes; `twice` is told of every object whose name was taken.
    pub(crate) fn new(resources: &'r Resources, mut twice: impl FnMut(&'r Object, &'r Object)) -> Self {
        let mut index = Self {
            by_kind: BTreeMap::new(),
            by_name: HashMap::with_capacity(resources.objects.len()),
        };
        for object in &resources.objects {
            let name = (&*object.kind, &*object.meta.namespace, &*object.meta.name);
            match index.by_name.entry(Key { id: object.id, name }) {
                Entry::Occupied(first) => twice(object, first.get()),
                Entry::Vacant(room) => {
                    room.insert(object);
                    index.by_kind.entry(&object.kind).or_default().push(object);
                }
            }
        }
        index
    }

    /// All objects of a kind, in the order they were read.
    pub(crate) fn all(&self, kind: &str) -> &[&'r Arc<Object>] {
        self.by_kind.get(kind).map_or(&[], Vec::as_slice)
    }

    /// All objects.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &'r Arc<Object>> + '_ {
        self.by_kind.values().flatten().copied()
    }

    /// All objects of other kinds than these, always in one order.
    pub(crate) fn beside<'a>(&'a self, kinds: &'a [&str]) -> impl Iterator<Item = &'r Arc<Object>> + 'a {
        let others = self.by_kind.iter().filter(|(kind, _)| !kinds.contains(kind));
        others.flat_map(|(_, objects)| objects).copied()
    }

    /// One object.
    pub(crate) fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<&'r Arc<Object>> {
        let id = object::id_of(kind, namespace, name);
        let name = (kind, namespace, name);
        self.by_name.get(&Key { id, name }).copied()
    }
}
