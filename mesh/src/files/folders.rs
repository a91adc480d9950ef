//! The state of every file: what it last said that could be used, and what is wrong with it now.

use crate::Resources;
use crate::finding::{Finding, Severity};
use crate::resources::{MAX_REGEX_BYTES, ParsedFile, content_hash, parse_file, unreadable};
use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Bytes of all files of one folder. A file that would pass it is not read.
pub(super) const MAX_FOLDER_BYTES: u64 = 16 << 20;
/// Files of one folder.
const MAX_FILES: usize = 65_536;
/// A file changed later than this before it was read may change again within the clock's granularity, without a new
/// time: it is read again.
const RACY: Duration = Duration::from_secs(3);

/// The config folders.
#[derive(Debug)]
pub(super) struct Folders {
    dirs: Vec<PathBuf>,
    files: BTreeMap<(usize, PathBuf), State>,
    unlisted: Vec<Finding>,
}

#[derive(Debug, Default)]
struct State {
    /// As it was when read; `None`: to be read again.
    stamp: Option<Stamp>,
    hash: Option<u64>,
    good: ParsedFile,
    fault: Option<Finding>,
}

#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    modified: Option<SystemTime>,
    inode: u64,
}

/// What the files of a folder that are still to be read may take.
#[derive(Debug)]
struct Room {
    bytes: u64,
    regex_bytes: usize,
}

/// What a refresh found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// Other objects than before.
    pub(super) objects: bool,
    /// Other faults of files than before.
    pub(super) faults: bool,
}

impl Folders {
    pub(super) fn new(dirs: Vec<PathBuf>) -> Self {
        Self {
            dirs,
            files: BTreeMap::new(),
            unlisted: Vec::new(),
        }
    }

    /// Their paths.
    pub(super) fn dirs(&self) -> &[PathBuf] {
        &self.dirs
    }

    /// Reads what changed. A folder that cannot be listed, or a file that cannot be used, keeps its last good state.
    pub(super) fn refresh(&mut self) -> Change {
        let mut change = Change::default();
        let mut unlisted = Vec::new();
        for (number, dir) in self.dirs.clone().iter().enumerate() {
            match list(dir) {
                Ok((files, None)) => change = change.and(self.refresh_folder(number, files)),
                Ok((files, Some(fault))) => {
                    unlisted.push(fault);
                    change = change.and(self.refresh_folder(number, files));
                }
                Err(error) => unlisted.push(no_list(dir, &error)),
            }
        }
        change.faults |= unlisted != self.unlisted;
        self.unlisted = unlisted;
        change
    }

    /// All objects that are in force.
    pub(super) fn resources(&self) -> Resources {
        let many = self.files.values().map(|state| state.good.count()).sum();
        let mut resources = Resources::with_capacity(many);
        for state in self.files.values() {
            resources.add(&state.good);
        }
        resources
    }

    /// What is wrong with folders and files.
    pub(super) fn faults(&self) -> impl Iterator<Item = &Finding> {
        self.unlisted
            .iter()
            .chain(self.files.values().filter_map(|state| state.fault.as_ref()))
    }

    fn refresh_folder(&mut self, number: usize, listed: Vec<PathBuf>) -> Change {
        let mut change = Change::default();
        let mut room = Room {
            bytes: MAX_FOLDER_BYTES,
            regex_bytes: MAX_REGEX_BYTES,
        };
        let mut before: BTreeMap<(usize, PathBuf), State> = BTreeMap::new();
        std::mem::swap(&mut before, &mut self.files);
        let (mut mine, others) = before.into_iter().partition(|((folder, _), _)| *folder == number);
        self.files = others;
        for path in listed {
            let key = (number, path);
            let mut state = mine.remove(&key).unwrap_or_else(|| {
                change.objects = true;
                State::default()
            });
            change = change.and(state.refresh(&key.1, &mut room));
            self.files.insert(key, state);
        }
        change.objects |= !mine.is_empty();
        change
    }
}

impl Change {
    fn and(self, other: Self) -> Self {
        Self {
            objects: self.objects || other.objects,
            faults: self.faults || other.faults,
        }
    }
}

impl State {
    /// Reads the file when it may have changed.
    fn refresh(&mut self, path: &Path, room: &mut Room) -> Change {
        let change = self.read_changed(path, room);
        room.regex_bytes = room.regex_bytes.saturating_sub(self.good.regex_bytes());
        change
    }

    fn read_changed(&mut self, path: &Path, room: &mut Room) -> Change {
        let now = SystemTime::now();
        let metadata = match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => metadata,
            Ok(_) => return self.fail(unreadable(path, "expected a regular file: it is not read")),
            Err(error) => return self.fail(unreadable(path, &format!("cannot be read: {error}"))),
        };
        if metadata.len() > room.bytes {
            let message =
                format!("the files of a folder may have {MAX_FOLDER_BYTES} bytes in all: this one is not read");
            return self.fail(unreadable(path, &message));
        }
        room.bytes -= metadata.len();
        let stamp = Stamp::of(&metadata);
        if self.stamp.as_ref() == Some(&stamp) {
            return Change::default();
        }
        let text = match read(path) {
            Ok(text) => text,
            Err(finding) => return self.fail(*finding),
        };
        let is_racy = stamp
            .modified
            .is_none_or(|time| now.duration_since(time).is_ok_and(|age| age < RACY));
        let hash = content_hash(text.as_bytes());
        let is_same = self.hash == Some(hash);
        self.stamp = (!is_racy).then_some(stamp);
        if is_same {
            return Change::default();
        }
        self.hash = Some(hash);
        match parse_file(path, &text, room.regex_bytes) {
            Ok(mut parsed) => {
                parsed.keep_last_good(&self.good);
                let faults = self.fault.take().is_some();
                self.good = parsed;
                Change { objects: true, faults }
            }
            Err(finding) => self.fault(*finding),
        }
    }

    /// It cannot even be read: read it again next time.
    fn fail(&mut self, finding: Finding) -> Change {
        self.stamp = None;
        self.hash = None;
        self.fault(finding)
    }

    fn fault(&mut self, finding: Finding) -> Change {
        let faults = self.fault.as_ref() != Some(&finding);
        self.fault = Some(finding);
        Change { objects: false, faults }
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            bytes: metadata.len(),
            modified: metadata.modified().ok(),
            inode: inode(metadata),
        }
    }
}

#[cfg(unix)]
pub(super) fn inode(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
pub(super) fn inode(_: &Metadata) -> u64 {
    0
}

/// The files of a folder by name: `*.yaml` and `*.yml`. Those that begin with a dot are not yet (an editor's or a
/// kubelet's half-done work).
fn list(dir: &Path) -> std::io::Result<(Vec<PathBuf>, Option<Finding>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let is_yaml = path
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml");
        let is_hidden = path
            .file_name()
            .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if is_yaml && !is_hidden {
            files.push(path);
        }
    }
    files.sort();
    let fault = (files.len() > MAX_FILES).then(|| {
        let message = format!(
            "expected at most {MAX_FILES} files, found {}: the last are not read",
            files.len()
        );
        Finding {
            message,
            ..no_list(dir, &std::io::Error::other(""))
        }
    });
    files.truncate(MAX_FILES);
    Ok((files, fault))
}

fn no_list(dir: &Path, error: &std::io::Error) -> Finding {
    let message = format!(
        "config folder {} cannot be listed, its last good state stays in force: {error}",
        dir.display()
    );
    Finding {
        severity: Severity::Error,
        object: None,
        field: None,
        place: None,
        message,
    }
}

/// Reads a text within the limit.
pub(super) fn read(path: &Path) -> Result<String, Box<Finding>> {
    let mut bytes = Vec::new();
    let result = File::open(path).and_then(|file| file.take(MAX_FOLDER_BYTES + 1).read_to_end(&mut bytes));
    result.map_err(|error| Box::new(unreadable(path, &format!("cannot be read: {error}"))))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_FOLDER_BYTES) {
        return Err(Box::new(unreadable(path, "grew past the limit while it was read")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(good).filter(|b| **b == b'\n').count() + 1;
        let mut finding = unreadable(
            path,
            "expected UTF-8 text; nothing of this file is used; its last good state stays in force",
        );
        if let Some(place) = &mut finding.place {
            place.line = u32::try_from(line).unwrap_or(u32::MAX);
        }
        Box::new(finding)
    })
}
