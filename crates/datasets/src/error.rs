//! What can go wrong while a dataset is described, found and read, by what the reader of the message can do about it.
//!
//! A bad image or label does not stop a build: it becomes a row of the report.

use std::io;
use std::path::{Path, PathBuf};

use run_spec::layer::ConfigError;

use crate::schema::RuleError;

/// A dataset that cannot be used as it is described.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// A description that cannot be read; the message names its file and line.
    #[error(transparent)]
    Description(#[from] ConfigError),
    /// A rule of a description that cannot work.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, such as `open the folder`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the file system says.
        source: io::Error,
    },
    /// A folder of descriptions that holds none.
    #[error("{} holds no *.yaml; give a source description or a folder of them", folder.display())]
    NoDescription {
        /// The folder that was given.
        folder: PathBuf,
    },
    /// A folder that is to be described and holds no image.
    #[error("{} holds no image; give the folder or archive of a dataset", folder.display())]
    NoImages {
        /// The folder that was given.
        folder: PathBuf,
    },
    /// Two descriptions have one name.
    #[error("two descriptions are named `{name}`; rename one")]
    SameName {
        /// The name that both have.
        name: String,
    },
    /// A place is given for a source that is not described.
    #[error("no source named `{name}` is described; there are {}", described.join(", "))]
    NotDescribed {
        /// The name that was given.
        name: String,
        /// Names of the described sources and of their datasets.
        described: Vec<String>,
    },
    /// A source whose files are not found.
    #[error("source `{name}` has no folder ({}); put it there, or give its place", sought(path.as_deref()))]
    NoData {
        /// Name of the source.
        name: String,
        /// The folder that was looked for; `None` where no folder was given to look in.
        path: Option<PathBuf>,
    },
    /// What should be a folder is something else.
    #[error("{} is not a folder", path.display())]
    NotAFolder {
        /// The path that was given.
        path: PathBuf,
    },
    /// An archive that cannot be read.
    #[error("cannot open the archive {}", path.display())]
    Archive {
        /// Path of the archive.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        error: ArchiveError,
    },
    /// An archive that is none of those that its description names.
    #[error(
        "{} has SHA-256 {found}, which is none of those in `downloads`: fetch it again, or correct the description if the dataset has a new \
         version",
        archive.display()
    )]
    OtherDigest {
        /// Path of the archive.
        archive: PathBuf,
        /// SHA-256 of the archive, 64 hexadecimal digits.
        found: String,
    },
    /// A table of labels or groups that cannot be read.
    #[error("table {file}: {error}")]
    Table {
        /// Its path inside the dataset.
        file: String,
        /// What is wrong with it.
        error: TableError,
    },
    /// A report table that could not be put together.
    #[error("cannot write the table {table} of the report")]
    Report {
        /// Name of the table.
        table: &'static str,
        /// What the writer says.
        #[source]
        error: csv::Error,
    },
    /// What is wrong with one source.
    #[error("source {name}")]
    InSource {
        /// Name of the source.
        name: String,
        /// What is wrong with it.
        #[source]
        error: Box<Self>,
    },
}

impl DatasetError {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }

    pub(crate) fn in_source(self, name: &str) -> Self {
        Self::InSource { name: name.to_owned(), error: Box::new(self) }
    }

    /// What is wrong, without the source that it is wrong with.
    pub fn cause(&self) -> &Self {
        if let Self::InSource { error, .. } = self { error.cause() } else { self }
    }
}

fn sought(path: Option<&Path>) -> String {
    match path {
        Some(path) => format!("{} does not exist, and there is no archive of that name beside it", path.display()),
        None => "no folder of datasets was given".to_owned(),
    }
}

/// An archive that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file system refused.
    #[error("cannot read the file")]
    Io(#[from] io::Error),
    /// The content is not that of an archive.
    #[error("it is neither a folder nor a zip, tar or tar.gz archive")]
    UnknownKind,
    /// The directory of a zip is damaged.
    #[error("cannot read the directory of the zip")]
    Zip(#[source] zip::result::ZipError),
    /// One member of a zip is damaged.
    #[error("cannot read member {index} of the zip")]
    ZipMember {
        /// Number of the member, from 0.
        index: usize,
        /// What the zip crate says.
        #[source]
        error: zip::result::ZipError,
    },
    /// A tar is damaged.
    #[error("the tar is damaged after {members} members; fetch it again")]
    Tar {
        /// Members before the damage.
        members: usize,
        /// What the tar crate says.
        #[source]
        error: io::Error,
    },
    /// A temporary file for the content of a tar.gz could not be made.
    #[error("cannot make a temporary file for what a tar.gz holds")]
    Temporary(#[source] io::Error),
    /// A tar.gz is damaged, or the disk is full.
    #[error("inflate the tar.gz")]
    Inflate(#[source] io::Error),
    /// A tar.gz holds more than is allowed.
    #[error("it inflates to more than the limit of {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
}

/// A table of labels or groups that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file cannot be read.
    #[error("{reason}; put it there or change the source description")]
    Unreadable {
        /// Why it cannot be read.
        reason: String,
    },
    /// The file is not a table.
    #[error("{reason}")]
    NotATable {
        /// Why not, with what helps.
        reason: String,
    },
    /// A first line of Excel names something that cannot separate cells.
    #[error("its first line says `{line}`, which is not a separator; write `sep=;` or take the line out")]
    Separator {
        /// The first line, shortened.
        line: String,
    },
    /// A quoted cell that does not end where it should.
    #[error("line {line}: {what}")]
    Quote {
        /// Line in which the cell begins, from 1.
        line: u64,
        /// What is wrong with its quotes and what would be right.
        what: String,
    },
    /// A column that the description names is missing.
    #[error("has no column `{name}` between {separators}; it has {}", columns.join(", "))]
    NoColumn {
        /// Name of the column.
        name: String,
        /// The separators that were tried, for people.
        separators: String,
        /// Columns of the table, shortened; the first thirty.
        columns: Vec<String>,
    },
    /// A column that the description names is there twice.
    #[error("has two columns `{name}`; rename one, so that it is clear which is meant")]
    TwoColumns {
        /// Name of the column.
        name: String,
    },
    /// Numbers with commas that may be decimals or stand between thousands.
    #[error(
        "`{number}` may be a decimal comma or stand between thousands; write `table: {{decimal: comma}}` or `table: {{decimal: point}}`"
    )]
    Decimal {
        /// The first such number, shortened.
        number: String,
    },
    /// The CSV reader failed.
    #[error("{0}")]
    Csv(#[from] csv::Error),
}
