//! What could not be read, and why: data in the report, never an abort.

use serde::Serialize;
use std::io;

/// One thing that was not read, or was read in spite of damage.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file as the report names it.
    pub path: String,
    /// Where in the file it starts, in bytes, if it is one place.
    pub offset: Option<u64>,
    /// What kind of problem.
    pub kind: ProblemKind,
    /// What was found, and what to do about it.
    pub detail: String,
    /// How many bytes could not be read because of it.
    pub lost_bytes: u64,
}

/// Every kind of problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProblemKind {
    /// It could not be opened or read.
    Unreadable,
    /// It was named on its own, or its name says that it is an event log or archive, and it is
    /// neither.
    NotALog,
    /// An archive or disk image of a kind that is not read, or a feature of one.
    Unsupported,
    /// A link or a device inside a folder or archive, which is not followed.
    NotFollowed,
    /// An archive, or a member of it, that needs a password.
    Encrypted,
    /// An archive that contradicts itself; what is sound in it was read.
    DamagedArchive,
    /// An archive that unpacks to more than it may: more bytes, members or layers.
    LimitReached,
    /// The file header is damaged; the chunks were read all the same.
    DamagedHeader,
    /// The file ends inside a chunk, or an archive before its end.
    Truncated,
    /// A slot holds neither a chunk nor nothing.
    DamagedChunk,
    /// The checksum of a chunk or of an archive's member disagrees; what is readable was read.
    ChecksumMismatch,
    /// Bytes inside a chunk in which no record could be made out.
    DamagedRecords,
    /// A record that could not be decoded.
    UndecodableRecord,
    /// The parser failed on a chunk or archive, which was left out.
    ParserFailure,
    /// Records do not name their computer: the name is another part of the bundle's.
    NameLost,
    /// Several computers have one name.
    SameName,
    /// It was read, and there is no event of the selected providers in it.
    NoEvidence,
}

impl ProblemKind {
    /// What to do about an input that gave nothing for this reason.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        use ProblemKind::*;
        match self {
            Unreadable => "check the path and who may read it, or copy the file again",
            NotALog => "collect or download it again",
            Unsupported => "unpack it and name the folder",
            NotFollowed => "name its target, or save it to a file and name that",
            Encrypted => "unpack it with its password and name the folder",
            LimitReached => "unpack it and name the folder, or raise the limit",
            DamagedArchive | DamagedHeader | Truncated | DamagedChunk | ChecksumMismatch
            | DamagedRecords | UndecodableRecord | ParserFailure => "collect or copy it again",
            NameLost | SameName => "name each machine's logs by themselves",
            NoEvidence => {
                "collect AAD/Operational, AAD/Analytic (off by default) and User Device \
                 Registration/Admin, as Microsoft's Auth scripts do"
            }
        }
    }
}

/// A number of things in words: `1 log`, `2 logs`.
#[must_use]
pub fn counted(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

/// An I/O error in words that are the same on every system, where it is a common one; else in the
/// system's, without the number.
#[must_use]
pub fn io_words(error: &io::Error) -> String {
    use io::ErrorKind::*;
    let words = match error.kind() {
        NotFound => "no such file or directory",
        PermissionDenied => "permission denied",
        IsADirectory => "it is a folder",
        NotADirectory => "a part of the path is no folder",
        AlreadyExists => "it is there already",
        StorageFull => "the disk is full",
        ReadOnlyFilesystem => "the disk is read-only",
        ResourceBusy => "another program uses it",
        TimedOut => "it took too long",
        UnexpectedEof => "it ends early",
        BrokenPipe => "the reader closed it",
        _ => {
            let text = error.to_string();
            let number = error.raw_os_error();
            let number = number.map_or(String::new(), |number| format!(" (os error {number})"));
            return text.strip_suffix(&number).unwrap_or(&text).to_lowercase();
        }
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::io_words;
    use std::io;

    #[test]
    fn errors_are_told_without_numbers_and_jargon() {
        let missing = io::Error::from(io::ErrorKind::NotFound);
        assert_eq!(io_words(&missing), "no such file or directory");
        let system = io::Error::from_raw_os_error(22);
        let words = io_words(&system);
        assert!(!words.contains("os error") && !words.is_empty(), "{words}");
        let own = io::Error::other("Said (os error 5) by somebody");
        assert_eq!(io_words(&own), "said (os error 5) by somebody");
    }
}
