//! Reading: what is there, and opening it without ever blocking and without leaving the root.
//!
//! The kernel resolves every path beneath an open directory (`openat2` with `RESOLVE_BENEATH`, through cap-std, which
//! walks by hand where the kernel cannot), so neither a symlink nor a directory swapped meanwhile leads out. Symlinks
//! that stay inside are followed. Only regular files are opened: a FIFO would block, a device may do something.

use std::{
    borrow::Cow,
    io,
    path::{Component, Path, PathBuf},
};

use cap_std::{
    ambient_authority,
    fs::{Dir, Metadata, MetadataExt, OpenOptions, OpenOptionsExt},
};

use super::{Denied, Opened, Permission, Stat, is_plain};
use crate::model::moment::Moment;

/// The owner's token is no larger.
const TOKEN_BYTES: u64 = 256;

/// A directory to resolve beneath (`None`: the root) and the rest of a path.
struct Located<'a> {
    base: Option<PathBuf>,
    rest: Cow<'a, Path>,
}

impl Permission {
    /// Opens a file for reading without blocking, only if it is regular. `Ok(None)`: there is nothing of that name.
    /// Anything that cannot be read (permission, a directory, a FIFO, a link that leads out) is an error.
    pub fn read(&self, path: &str) -> Result<Option<Opened>, Denied> {
        // looked at first: merely opening a FIFO releases its writer, and opening a device may do something
        if self.stat(path)?.is_none() {
            return Ok(None);
        }
        let mut options = OpenOptions::new();
        let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
        options.read(true).custom_flags(flags.bits() as i32);
        let opened = self.within(path, |dir, rest| {
            let file = dir.open_with(rest, &options)?;
            let metadata = file.metadata()?;
            Ok((file, metadata))
        })?;
        let Some((file, metadata)) = opened else {
            return Ok(None);
        };
        let stat = regular(path, &metadata)?;
        if self.is_token(&stat) {
            let why = format!("{path} is the token of the API: no rule reads it");
            return Err(Denied::forbidden(why));
        }
        Ok(Some(Opened {
            stat,
            file: file.into_std(),
        }))
    }

    /// Whether a file is the owner's token, by whatever name it was opened. It may be renewed at any time, so it is not
    /// enough that its value is never told.
    fn is_token(&self, stat: &Stat) -> bool {
        if stat.size > TOKEN_BYTES || stat.mode & 0o077 != 0 {
            return false; // spares nearly every look the question
        }
        let path = self.root.join(super::OWN).join(super::tokens::FILE);
        std::fs::symlink_metadata(path).is_ok_and(|found| {
            let id = std::os::unix::fs::MetadataExt::ino(&found);
            let device = std::os::unix::fs::MetadataExt::dev(&found);
            (device, id) == (stat.device, stat.inode)
        })
    }

    /// What is there, without opening it. `Ok(None)`: nothing. A symlink stands for its target; anything that is no
    /// regular file is an error.
    pub fn stat(&self, path: &str) -> Result<Option<Stat>, Denied> {
        if let Some(seen) = self.glance(path) {
            return Ok(Some(seen));
        }
        match self.within(path, |dir, rest| dir.metadata(rest))? {
            Some(metadata) => regular(path, &metadata).map(Some),
            None => Ok(None),
        }
    }

    /// Where a regular file really is, for a library that opens files by their path: absolute, and without a link on its
    /// way. `Ok(None)`: there is nothing of that name.
    pub fn place(&self, path: &str) -> Result<Option<PathBuf>, Denied> {
        let Some(stat) = self.stat(path)? else {
            return Ok(None);
        };
        let located = self.allowed(path)?;
        let base = located.base.as_deref().unwrap_or(&self.root);
        let real = base.join(&located.rest).canonicalize();
        let real = real.map_err(|error| Denied::io(path, error))?;
        let seen = std::fs::symlink_metadata(&real).map_err(|error| Denied::io(path, error))?;
        // what was judged is the file, not the way
        let id = std::os::unix::fs::MetadataExt::ino(&seen);
        let device = std::os::unix::fs::MetadataExt::dev(&seen);
        if (device, id) != (stat.device, stat.inode) {
            return Err(Denied::forbidden(format!("{path} was swapped for another")));
        }
        Ok(Some(real))
    }

    /// Whether a path may be looked at, by its text alone: for checking rules at load.
    pub fn may_look(&self, path: &str) -> Result<(), Denied> {
        let mut depth = 0_i64;
        let stays = Path::new(path).components().all(|part| {
            depth += match part {
                Component::Normal(_) => 1,
                Component::ParentDir => -1,
                _ => 0,
            };
            depth >= 0
        });
        if path.is_empty() || path.contains('\0') {
            return Err(Denied::forbidden(format!("{path:?} is no path")));
        }
        if !stays {
            return Err(Denied::forbidden(format!("{path} leads out of the root")));
        }
        self.allowed(path).map(drop)
    }

    /// Does something with the open directory a path is resolved beneath, and the rest of the path. `Ok(None)`: there
    /// is nothing of that name.
    pub(super) fn within<T>(
        &self,
        path: &str,
        act: impl Fn(&Dir, &Path) -> io::Result<T>,
    ) -> Result<Option<T>, Denied> {
        if path.is_empty() || path.contains('\0') {
            return Err(Denied::forbidden(format!("{path:?} is no path")));
        }
        let located = self.allowed(path)?;
        match self.act_in(&located, &act) {
            Err(error) if leads_out(&error) => self.follow(path, &act),
            done => missing(path, done),
        }
    }

    fn allowed<'a>(&self, path: &'a str) -> Result<Located<'a>, Denied> {
        self.locate(Path::new(path)).ok_or_else(|| {
            Denied::forbidden(format!(
                "{path} is outside of the root: `allow: {{ read: [...] }}` of homeostat.yaml can allow it"
            ))
        })
    }

    fn act_in<T>(
        &self,
        located: &Located<'_>,
        act: &impl Fn(&Dir, &Path) -> io::Result<T>,
    ) -> io::Result<T> {
        match &located.base {
            None => act(&self.dir, &located.rest),
            Some(base) => act(
                &Dir::open_ambient_dir(base, ambient_authority())?,
                &located.rest,
            ),
        }
    }

    /// A path over an absolute symlink: where does it really lead? If that is allowed, it is resolved beneath its base
    /// again, so a link swapped in between gains nothing.
    fn follow<T>(
        &self,
        path: &str,
        act: &impl Fn(&Dir, &Path) -> io::Result<T>,
    ) -> Result<Option<T>, Denied> {
        let leads_out = || Denied::forbidden(format!("{path} leads out of the root"));
        let real = match self.root.join(path).canonicalize() {
            Ok(real) => real,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(leads_out()),
            Err(error) => return Err(Denied::io(path, error)),
        };
        let located = self.locate(&real).ok_or_else(leads_out)?;
        match self.act_in(&located, act) {
            Err(error) if self::leads_out(&error) => Err(leads_out()),
            done => missing(path, done),
        }
    }

    /// Where a path is resolved; `None` if it may not be read.
    fn locate<'a>(&self, path: &'a Path) -> Option<Located<'a>> {
        let beneath = |base, rest: &'a Path| {
            let empty = rest.as_os_str().is_empty();
            Some(Located {
                base,
                rest: Cow::Borrowed(if empty { Path::new(".") } else { rest }),
            })
        };
        if path.is_relative() {
            return beneath(None, path);
        }
        if !is_plain(path) {
            return None;
        }
        if let Some(rest) = self.below_root(path) {
            return beneath(None, rest);
        }
        let allowed = self.settings.allow.read.iter().map(Path::new);
        for entry in allowed {
            match path.strip_prefix(entry) {
                Ok(rest) if rest.as_os_str().is_empty() => return Some(named(entry)),
                Ok(rest) => return beneath(Some(entry.to_owned()), rest),
                Err(_) => {}
            }
        }
        None
    }
}

/// The very path that `homeostat.yaml` names: whoever wrote it there meant what it leads to, so its links are followed.
fn named(entry: &Path) -> Located<'static> {
    let real = entry.canonicalize().unwrap_or_else(|_| entry.to_owned());
    let (base, rest) = match (real.parent(), real.file_name()) {
        (Some(parent), Some(name)) => (parent.to_owned(), PathBuf::from(name)),
        _ => (real, PathBuf::from(".")),
    };
    Located {
        base: Some(base),
        rest: Cow::Owned(rest),
    }
}

/// cap-std's word for a path that leaves its directory: a permission error that no system call gave.
pub(super) fn leads_out(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none()
}

/// A name that is not there, or whose parent is not there (or is a file), is an answer, not an error.
fn missing<T>(path: &str, done: io::Result<T>) -> Result<Option<T>, Denied> {
    match done {
        Ok(value) => Ok(Some(value)),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(None),
            _ => Err(Denied::io(path, error)),
        },
    }
}

fn regular(path: &str, metadata: &Metadata) -> Result<Stat, Denied> {
    if metadata.is_file() {
        return Ok(stat_of(metadata));
    }
    Err(Denied::forbidden(format!(
        "{path} is {}, not a regular file",
        kind_of(metadata)
    )))
}

pub(super) fn kind_of(metadata: &Metadata) -> &'static str {
    use rustix::fs::FileType;
    match FileType::from_raw_mode(metadata.mode()) {
        FileType::Directory => "a directory",
        FileType::Symlink => "a symlink",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::RegularFile => "a file",
        _ => "something unknown",
    }
}

pub(super) fn stat_of(metadata: &Metadata) -> Stat {
    let milliseconds = metadata
        .mtime()
        .saturating_mul(1000)
        .saturating_add(metadata.mtime_nsec() / 1_000_000);
    Stat {
        size: metadata.size(),
        modified: Moment(milliseconds),
        mode: metadata.mode() & 0o7777,
        device: metadata.dev(),
        inode: metadata.ino(),
        links: metadata.nlink(),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Read, os::unix::fs::symlink};

    use super::*;
    use crate::permission::{Settings, settings::Allow};

    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(root.path().join("data")).expect("data/");
        fs::write(root.path().join("data/x.json"), "{}").expect("a file");
        root
    }

    fn permission(root: &Path, read: &[&str]) -> Permission {
        let settings = Settings {
            allow: Allow {
                read: read.iter().map(|path| (*path).to_owned()).collect(),
                ..Allow::default()
            },
            ..Settings::default()
        };
        Permission::new(root, settings).expect("a root")
    }

    fn text(permission: &Permission, path: &str) -> Result<Option<String>, String> {
        let opened = permission.read(path).map_err(|error| error.told())?;
        Ok(opened.map(|mut opened| {
            let mut text = String::new();
            opened.file.read_to_string(&mut text).expect("readable");
            text
        }))
    }

    #[test]
    fn reads_below_the_root() {
        let root = root();
        let may = permission(root.path(), &[]);
        assert_eq!(text(&may, "data/x.json"), Ok(Some("{}".to_owned())));
        assert_eq!(
            text(&may, "./data/../data/x.json"),
            Ok(Some("{}".to_owned()))
        );
        let absolute = root.path().join("data/x.json");
        assert_eq!(
            text(&may, &absolute.display().to_string()),
            Ok(Some("{}".to_owned()))
        );
        let stat = may.stat("data/x.json").expect("allowed").expect("there");
        assert_eq!((stat.size, stat.links), (2, 1));
    }

    #[test]
    fn nothing_there_is_an_answer() {
        let root = root();
        let may = permission(root.path(), &[]);
        for path in ["data/y.json", "nowhere/y.json", "data/x.json/deeper"] {
            assert_eq!(text(&may, path), Ok(None), "{path}");
            assert_eq!(may.stat(path).expect("an answer"), None, "{path}");
        }
        symlink("gone", root.path().join("data/dangling")).expect("a link");
        assert_eq!(text(&may, "data/dangling"), Ok(None));
    }

    #[test]
    fn only_regular_files_are_opened() {
        let root = root();
        let fifo = root.path().join("data/fifo");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0)
            .expect("a FIFO");
        let _socket = std::os::unix::net::UnixListener::bind(root.path().join("data/socket"));
        let may = permission(root.path(), &["/dev/null"]);
        let refused = |path: &str| text(&may, path).expect_err("refused");
        assert_eq!(refused("data"), "data is a directory, not a regular file");
        assert_eq!(
            refused("data/fifo"),
            "data/fifo is a FIFO, not a regular file"
        );
        assert_eq!(
            refused("data/socket"),
            "data/socket is a socket, not a regular file"
        );
        assert_eq!(
            refused("/dev/null"),
            "/dev/null is a device, not a regular file"
        );
    }

    #[test]
    fn links_are_followed_inside_and_refused_outward() {
        let outside = tempfile::tempdir().expect("a temporary directory");
        fs::write(outside.path().join("secret"), "s").expect("a file");
        let root = root();
        let data = root.path().join("data");
        symlink("x.json", data.join("near")).expect("a link");
        symlink(data.join("x.json"), data.join("absolute")).expect("a link");
        symlink(outside.path().join("secret"), data.join("out")).expect("a link");
        symlink(outside.path(), data.join("dir")).expect("a link");
        symlink("../../../../../../../etc/passwd", data.join("up")).expect("a link");
        symlink("/nowhere/at/all", data.join("dangling")).expect("a link");
        let may = permission(root.path(), &[]);
        assert_eq!(text(&may, "data/near"), Ok(Some("{}".to_owned())));
        assert_eq!(text(&may, "data/absolute"), Ok(Some("{}".to_owned())));
        for path in [
            "data/out",
            "data/dir/secret",
            "data/up",
            "../x",
            "data/dangling",
        ] {
            let refused = text(&may, path).expect_err(path);
            assert_eq!(refused, format!("{path} leads out of the root"));
            assert!(may.stat(path).is_err(), "{path}");
        }
    }

    #[test]
    fn outside_only_what_homeostat_yaml_names() {
        let outside = tempfile::tempdir().expect("a temporary directory");
        let base = outside.path().canonicalize().expect("real");
        fs::create_dir(base.join("open")).expect("a directory");
        fs::write(base.join("open/a"), "a").expect("a file");
        fs::write(base.join("b"), "b").expect("a file");
        symlink(base.join("b"), base.join("open/out")).expect("a link");
        symlink(base.join("b"), base.join("named")).expect("a link");
        let root = root();
        symlink(base.join("open/a"), root.path().join("data/allowed")).expect("a link");
        let at = |name: &str| base.join(name).display().to_string();
        let may = permission(root.path(), &[&at("open"), &at("named")]);
        assert_eq!(text(&may, &at("open/a")), Ok(Some("a".to_owned())));
        assert_eq!(text(&may, &at("named")), Ok(Some("b".to_owned())));
        assert_eq!(text(&may, "data/allowed"), Ok(Some("a".to_owned())));
        assert_eq!(text(&may, &at("open/none")), Ok(None));
        for path in [at("b"), at("open/../b"), at("open/out"), at("opener")] {
            assert!(text(&may, &path).is_err(), "{path}");
        }
    }

    #[test]
    fn what_may_not_be_read_is_an_error() {
        if rustix::process::geteuid().is_root() {
            return; // nothing is unreadable to root
        }
        use std::os::unix::fs::PermissionsExt;
        let root = root();
        let closed = fs::Permissions::from_mode(0o000);
        fs::set_permissions(root.path().join("data/x.json"), closed).expect("chmod");
        let may = permission(root.path(), &[]);
        assert!(text(&may, "data/x.json").is_err());
        assert!(may.stat("data/x.json").is_ok());
    }

    #[test]
    fn a_path_can_be_judged_by_its_text() {
        let root = root();
        let may = permission(root.path(), &["/proc/loadavg"]);
        for path in ["data/x.json", "not/there", "a/../b", "/proc/loadavg"] {
            assert!(may.may_look(path).is_ok(), "{path}");
        }
        for path in ["", "..", "a/../../b", "/etc/passwd", "/proc/loadavg2"] {
            assert!(may.may_look(path).is_err(), "{path}");
        }
    }

    #[test]
    fn the_token_of_the_api_is_read_by_no_rule() {
        let root = tempfile::tempdir().unwrap();
        let own = root.path().join(crate::permission::OWN);
        crate::permission::tokens::owner_token(&own).unwrap();
        std::os::unix::fs::symlink("state/homeostat/token", root.path().join("link")).unwrap();
        std::fs::hard_link(own.join("token"), root.path().join("other")).unwrap();
        let may = Permission::new(root.path(), crate::permission::Settings::default()).unwrap();
        for path in ["state/homeostat/token", "link", "other"] {
            let refused = may.read(path).err().map(|denied| denied.told());
            assert!(
                refused.is_some_and(|why| why.contains("no rule reads it")),
                "{path}"
            );
        }
    }

    #[test]
    fn no_path_is_no_path() {
        let root = root();
        let may = permission(root.path(), &[]);
        assert!(may.stat("").is_err());
        assert!(may.stat("data/x\0.json").is_err());
        assert!(may.stat(&"x".repeat(5000)).is_err());
    }
}
