//! Where the output goes: standard output, or a file that appears whole or not at all.

use prtrace::base::problem::io_words;
use std::ffi::OsStr;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// Where to write, as the user named it.
#[derive(Debug)]
pub(crate) enum Output<'a> {
    Stdout,
    File(&'a Path),
}

impl<'a> Output<'a> {
    /// The output that `--output` names; `-` is standard output, and so is none.
    pub(crate) fn new(path: Option<&'a Path>) -> Output<'a> {
        match path {
            Some(path) if path != Path::new("-") => Output::File(path),
            _ => Output::Stdout,
        }
    }

    /// Refuses to write over evidence: a file that is an input (`-` is standard input), or that lies
    /// in a folder that is an input. Files are compared by identity, so another name or a link makes no
    /// difference.
    ///
    /// # Errors
    ///
    /// The message for the user, if the output is among the inputs.
    pub(crate) fn check_inputs(&self, inputs: &[PathBuf]) -> Result<(), String> {
        let Output::File(path) = self else {
            return Ok(());
        };
        let refuse = |input: &dyn Display| {
            let path = path.display();
            Err(format!(
                "{path}: the output would replace the input {input}; write it to a new file"
            ))
        };
        let existing = match Existing::new(path) {
            Ok(Some(existing)) => existing,
            // A file that is not there yet replaces nothing, and a device is not replaced.
            Ok(None) => return Ok(()),
            Err(error) => {
                let text = io_words(&error);
                return Err(format!(
                    "{}: cannot write the output: {text}",
                    path.display()
                ));
            }
        };
        match inputs.iter().find_map(|input| existing.within(input)) {
            None => Ok(()),
            Some(input) => refuse(&input.display()),
        }
    }

    /// Writes what `render` renders. A file takes its place only when it is whole.
    ///
    /// # Errors
    ///
    /// The message for the user.
    pub(crate) fn write<T>(
        &self,
        render: impl FnOnce(&mut dyn Write) -> io::Result<T>,
    ) -> Result<T, String> {
        match self {
            Output::Stdout => {
                let mut out = BufWriter::new(WhileRead(Some(io::stdout().lock())));
                let done = render(&mut out).and_then(|done| out.flush().map(|()| done));
                done.map_err(|error| format!("standard output: {}", io_words(&error)))
            }
            Output::File(path) => to_file(path, render).map_err(|error| {
                // The temporary file's name helps nobody.
                let text = io_words(&io::Error::from(error.kind()));
                format!("{}: cannot write the output: {text}", path.display())
            }),
        }
    }
}

/// A file that the output would replace.
struct Existing {
    identity: Identity,
    /// Where it is, without links.
    real: PathBuf,
    /// Where the path as given is: of a link not its target.
    named: PathBuf,
}

impl Existing {
    /// Nothing if there is no such file, or it is no regular one.
    fn new(path: &Path) -> io::Result<Option<Existing>> {
        let metadata = match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => metadata,
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if is_descriptor(path) {
            return Ok(None);
        }
        let folder = folder_of(path).canonicalize()?;
        Ok(Some(Existing {
            identity: Identity::new(path, &metadata)?,
            real: path.canonicalize()?,
            named: folder.join(path.file_name().unwrap_or_default()),
        }))
    }

    /// The path of this file at or below an input.
    fn within(&self, input: &Path) -> Option<PathBuf> {
        if input == Path::new("-") {
            return self.is_standard_input().then(|| input.to_owned());
        }
        // Nothing is opened: an input may be a pipe that somebody waits at.
        let metadata = fs::metadata(input).ok()?;
        if !metadata.is_dir() {
            return self.is(input, &metadata).then(|| input.to_owned());
        }
        let folder = input.canonicalize().ok()?;
        let mut places = [&self.real, &self.named].into_iter();
        if let Some(below) = places.find_map(|place| place.strip_prefix(&folder).ok()) {
            return Some(input.join(below));
        }
        // Another name of the file may lie in the folder.
        let files = WalkDir::new(input).follow_root_links(true).into_iter();
        files
            .filter_map(Result::ok)
            .filter(|entry| entry.file_type().is_file() && self.identity.may_be(entry))
            .find(|entry| {
                let metadata = entry.metadata();
                metadata.is_ok_and(|metadata| self.is(entry.path(), &metadata))
            })
            .map(walkdir::DirEntry::into_path)
    }

    fn is(&self, path: &Path, metadata: &fs::Metadata) -> bool {
        metadata.is_file() && Identity::new(path, metadata).is_ok_and(|of| of == self.identity)
    }

    #[cfg(unix)]
    fn is_standard_input(&self) -> bool {
        use std::os::fd::AsFd;
        let stdin = io::stdin();
        let Ok(descriptor) = stdin.as_fd().try_clone_to_owned() else {
            return false;
        };
        let metadata = File::from(descriptor).metadata();
        metadata.is_ok_and(|metadata| self.is(Path::new(""), &metadata))
    }

    #[cfg(not(unix))]
    fn is_standard_input(&self) -> bool {
        false
    }
}

/// What tells files apart whatever their names.
#[cfg(unix)]
#[derive(PartialEq, Eq)]
struct Identity {
    device: u64,
    number: u64,
}

#[cfg(unix)]
impl Identity {
    fn new(_: &Path, metadata: &fs::Metadata) -> io::Result<Identity> {
        use std::os::unix::fs::MetadataExt;
        Ok(Identity {
            device: metadata.dev(),
            number: metadata.ino(),
        })
    }

    /// Whether an entry of a folder can be the file: most cannot, and are not asked further.
    fn may_be(&self, entry: &walkdir::DirEntry) -> bool {
        walkdir::DirEntryExt::ino(entry) == self.number
    }
}

#[cfg(not(unix))]
#[derive(PartialEq, Eq)]
struct Identity(same_file::Handle);

#[cfg(not(unix))]
impl Identity {
    fn new(path: &Path, _: &fs::Metadata) -> io::Result<Identity> {
        same_file::Handle::from_path(path).map(Identity)
    }

    /// Each file would have to be opened, so hard links in folders are not looked for.
    fn may_be(&self, _: &walkdir::DirEntry) -> bool {
        false
    }
}

/// Whether a path stands for an open descriptor, such as `/dev/stdout`: the file behind it belongs to
/// whoever opened it, and is written on, not replaced.
fn is_descriptor(path: &Path) -> bool {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        if path.starts_with("/proc") || path.starts_with("/dev/fd") {
            return true;
        }
        let Ok(next) = fs::read_link(&path) else {
            return false;
        };
        path = folder_of(&path).join(next);
    }
    false
}

/// Passes output on until the reader closes the pipe; after that it is dropped, and the exit status
/// stays the same.
struct WhileRead<W>(Option<W>);

impl<W: Write> WhileRead<W> {
    fn unless_closed<T>(&mut self, result: io::Result<T>, otherwise: T) -> io::Result<T> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.0 = None;
                Ok(otherwise)
            }
            result => result,
        }
    }
}

impl<W: Write> Write for WhileRead<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(out) = &mut self.0 else {
            return Ok(bytes.len());
        };
        let written = out.write(bytes);
        self.unless_closed(written, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some(out) = &mut self.0 else {
            return Ok(());
        };
        let flushed = out.flush();
        self.unless_closed(flushed, ())
    }
}

/// Links that lead to links are followed this far, as Linux does.
const MOST_LINKS: usize = 40;

/// The path that a link leads to, whether or not anything is there yet; other paths as they are.
fn target(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(next) = fs::read_link(&path) else {
            return Ok(path);
        };
        // A relative target starts at the link's folder; joining an absolute one replaces it.
        path = folder_of(&path).join(next);
    }
    // A circle: the system says so.
    fs::metadata(&path).map(|_| path)
}

fn folder_of(path: &Path) -> &Path {
    let named = |parent: &&Path| parent.as_os_str() != OsStr::new("");
    path.parent().filter(named).unwrap_or(Path::new("."))
}

fn to_file<T>(path: &Path, render: impl FnOnce(&mut dyn Write) -> io::Result<T>) -> io::Result<T> {
    if is_descriptor(path) {
        let mut out = BufWriter::new(File::options().append(true).open(path)?);
        let done = render(&mut out)?;
        return out.flush().map(|()| done);
    }
    // A link stays, and its target is written.
    let path = target(path)?;
    let mode = match fs::metadata(&path) {
        Ok(existing) if existing.is_file() => {
            // A file that may not be written is not replaced either.
            File::options().write(true).open(&path)?;
            Some(existing.permissions())
        }
        // A pipe or device cannot be replaced: it is written as it is.
        Ok(_) => {
            let mut out = BufWriter::new(File::options().write(true).open(&path)?);
            let done = render(&mut out)?;
            return out.flush().map(|()| done);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let mut file = new_file(folder_of(&path))?;
    let mut out = BufWriter::new(file.as_file_mut());
    let done = render(&mut out)?;
    out.flush()?;
    drop(out);
    if let Some(mode) = mode {
        file.as_file().set_permissions(mode)?;
    }
    file.persist(path)?;
    Ok(done)
}

/// A temporary file beside the output, with the permissions that the umask gives any new file.
#[cfg(unix)]
fn new_file(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    use std::os::unix::fs::PermissionsExt;
    let permissions = fs::Permissions::from_mode(0o666);
    tempfile::Builder::new()
        .permissions(permissions)
        .tempfile_in(folder)
}

#[cfg(not(unix))]
fn new_file(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    tempfile::NamedTempFile::new_in(folder)
}
