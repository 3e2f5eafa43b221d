//! Which config file is used, why that one, and which others there are.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::shell_word;

/// The variable that names the config file.
const VARIABLE: &str = "DOCENT_CONFIG";
/// The config of an installed system.
pub(super) const SYSTEM_CONFIG: &str = "/etc/docent/docent.toml";

/// Where a config file is named or expected.
#[derive(Debug, Default)]
pub(super) struct Places {
    flag: Option<PathBuf>,
    variable: Option<PathBuf>,
    /// The user's own; none: there is no home folder.
    user: Option<PathBuf>,
    system: PathBuf,
}

/// How the config file was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    Flag,
    Variable,
    /// It is the user's own.
    User,
    /// It is the system's.
    System,
    /// None is named, and none is in its place.
    Nothing,
}

/// The config file that is used.
#[derive(Debug)]
pub(super) struct Choice {
    /// The file; none: the defaults and the `DOCENT__` variables alone.
    pub(super) file: Option<PathBuf>,
    pub(super) why: Why,
    /// Files that would be used without this one.
    pub(super) others: Vec<PathBuf>,
    /// Places where one may be that this user may not read, and why not.
    pub(super) unseen: Vec<String>,
    /// Where the user's own config is expected.
    user: Option<PathBuf>,
    /// Where the system's config is expected.
    system: PathBuf,
}

impl Places {
    /// The places that the command line and these variables name.
    pub(super) fn new(
        flag: Option<PathBuf>,
        variable: impl Fn(&str) -> Option<OsString>,
        system: &Path,
    ) -> Places {
        // An empty variable is one that is not set.
        let path =
            |name| Some(PathBuf::from(variable(name)?)).filter(|p| !p.as_os_str().is_empty());
        // XDG ignores relative paths.
        let folder = |name| path(name).filter(|path| path.is_absolute());
        let home = || Some(folder("HOME")?.join(".config"));
        let user = folder("XDG_CONFIG_HOME").or_else(home);
        Places {
            flag,
            variable: path(VARIABLE),
            user: user.map(|folder| folder.join("docent/docent.toml")),
            system: system.to_owned(),
        }
    }

    /// The file that is used: one that is named, whether it exists or not, else the first that exists.
    pub(super) fn choose(self) -> Choice {
        let mut choice = Choice {
            file: None,
            why: Why::Nothing,
            others: Vec::new(),
            unseen: Vec::new(),
            user: self.user.clone(),
            system: self.system.clone(),
        };
        for (why, file) in [
            (Why::Flag, self.flag),
            (Why::Variable, self.variable),
            (Why::User, self.user),
            (Why::System, Some(self.system)),
        ] {
            let Some(file) = file else { continue };
            let named = matches!(why, Why::Flag | Why::Variable) && choice.file.is_none();
            match file.symlink_metadata() {
                _ if named => {}
                Ok(_) => {}
                Err(error) if is_absence(&error) => continue,
                Err(error) => {
                    let text = format!("{} cannot be read: {error}", file.display());
                    choice.unseen.push(text);
                    continue;
                }
            }
            choice.take(why, file);
        }
        choice
    }
}

/// Whether there is nothing at a path, also because one of its directories is a file.
fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

impl Choice {
    fn take(&mut self, why: Why, file: PathBuf) {
        if let Some(chosen) = &self.file {
            let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
            let known = self.others.iter().chain([chosen]);
            if !known.map(|path| real(path)).any(|path| path == real(&file)) {
                self.others.push(file);
            }
        } else {
            self.file = Some(file);
            self.why = why;
        }
    }

    /// The file, for people.
    pub(super) fn shown(&self) -> String {
        match &self.file {
            Some(file) => file.display().to_string(),
            None => "none".to_owned(),
        }
    }

    pub(super) fn reason(&self) -> String {
        let unnamed = format!("neither --config nor {VARIABLE} names one");
        let absent = match &self.user {
            None => "you have no config of your own (HOME is not set)".to_owned(),
            Some(user) if self.unseen.is_empty() => format!("there is no {}", user.display()),
            Some(_) => "your own config cannot be read".to_owned(),
        };
        match self.why {
            Why::Flag => "--config names it".to_owned(),
            Why::Variable => format!("{VARIABLE} names it"),
            Why::User => format!("your own config; {unnamed}"),
            Why::System => format!("the config of the system; {unnamed}, and {absent}"),
            Why::Nothing => format!(
                "the defaults apply; {unnamed}, {absent}, and there is no {}",
                self.system.display()
            ),
        }
    }

    /// The variable that names the file, if one does.
    pub(super) fn named_by(&self) -> Option<&'static str> {
        (self.why == Why::Variable).then_some(VARIABLE)
    }

    /// The file, the reason and the others, on one line.
    pub(super) fn line(&self) -> String {
        let mut text = format!("{} ({})", self.shown(), self.reason());
        let others = self.others.iter().map(|other| other.display().to_string());
        let others: Vec<String> = others.collect();
        if !others.is_empty() {
            text.push_str(&format!("; also there: {}", others.join(", ")));
        }
        for unseen in &self.unseen {
            text.push_str(&format!("; {unseen}"));
        }
        text
    }

    /// The flag that a command needs for the same choice, with a space before it.
    pub(super) fn flag(&self) -> String {
        match &self.file {
            Some(file) if self.why == Why::Flag => format!(" --config {}", shell_word(file)),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The choice among files of `folder`: `flag`, what the variables say, and `system`.
    fn choose(folder: &Path, flag: Option<&str>, variables: &[(&str, &str)]) -> Choice {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name)?;
            Some(OsString::from(found.1))
        };
        let flag = flag.map(|name| folder.join(name));
        Places::new(flag, variable, &folder.join("system.toml")).choose()
    }

    fn write(folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "").unwrap();
        path
    }

    #[test]
    fn the_first_place_that_has_one_rules_and_the_others_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let home = at.to_str().unwrap();
        let xdg = format!("{home}/xdg");
        let named = format!("{home}/named.toml");
        let all = [
            ("DOCENT_CONFIG", named.as_str()),
            ("XDG_CONFIG_HOME", &xdg),
            ("HOME", home),
        ];
        let nothing = choose(at, None, &all[1..]);
        assert_eq!((nothing.file, nothing.why), (None, Why::Nothing));

        let system = write(at, "system.toml");
        let found = choose(at, None, &all[1..]);
        assert_eq!((found.file, found.why), (Some(system.clone()), Why::System));

        let own = write(at, ".config/docent/docent.toml");
        let found = choose(at, None, &all[2..]);
        assert_eq!((&found.file, found.why), (&Some(own.clone()), Why::User));
        assert_eq!(found.others, [system.as_path()]);
        // XDG_CONFIG_HOME takes precedence over the home directory.
        assert_eq!(choose(at, None, &all[1..]).why, Why::System);
        let xdg = write(at, "xdg/docent/docent.toml");
        assert_eq!(choose(at, None, &all[1..]).file, Some(xdg.clone()));

        // A file that is named is used whether it exists or not.
        let found = choose(at, None, &all);
        assert_eq!(
            (&found.file, found.why),
            (&Some(at.join("named.toml")), Why::Variable)
        );
        assert_eq!(found.others, [xdg.as_path(), &system]);
        write(at, "named.toml");
        let found = choose(at, Some("flag.toml"), &all);
        assert_eq!(
            (&found.file, found.why),
            (&Some(at.join("flag.toml")), Why::Flag)
        );
        assert_eq!(
            found.others,
            [at.join("named.toml").as_path(), &xdg, &system]
        );
        assert!(
            found
                .line()
                .contains("flag.toml (--config names it); also there: ")
        );
        assert_eq!(
            choose(at, Some("named.toml"), &all).others,
            [xdg.as_path(), &system]
        );
    }

    #[test]
    fn variables_that_say_nothing_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let own = write(at, ".config/docent/docent.toml");
        let home = at.to_str().unwrap();
        let found = choose(
            at,
            None,
            &[
                ("DOCENT_CONFIG", ""),
                ("XDG_CONFIG_HOME", ""),
                ("HOME", home),
            ],
        );
        assert_eq!(found.file, Some(own.clone()));
        let found = choose(at, None, &[("XDG_CONFIG_HOME", "relative"), ("HOME", home)]);
        assert_eq!(found.file, Some(own));
        for variables in [&[][..], &[("HOME", "")], &[("HOME", "relative")]] {
            let found = choose(at, None, variables);
            assert_eq!((&found.file, found.why), (&None, Why::Nothing));
            assert!(found.line().contains("HOME is not set"), "{}", found.line());
        }
        // A file in a folder's place, and a link to nowhere: the one is no config, the other is one that cannot be read.
        let file = write(at, "file");
        let found = choose(at, None, &[("HOME", file.to_str().unwrap())]);
        assert_eq!((found.file, found.unseen), (None, Vec::new()));
        let link = at.join("dangling/docent/docent.toml");
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        let dangling = at.join("dangling");
        let found = choose(at, None, &[("XDG_CONFIG_HOME", dangling.to_str().unwrap())]);
        assert_eq!(found.file, Some(link));
    }

    #[test]
    fn what_a_command_needs_for_the_same_choice_can_be_pasted() {
        let folder = tempfile::tempdir().unwrap();
        let found = choose(folder.path(), Some("it's mine.toml"), &[]);
        let flag = found.flag();
        assert!(
            flag.starts_with(" --config '/") && flag.ends_with(r"it'\''s mine.toml'"),
            "{flag}"
        );
        let named = folder.path().join("x.toml");
        let named = choose(
            folder.path(),
            None,
            &[("DOCENT_CONFIG", named.to_str().unwrap())],
        );
        assert_eq!(named.flag(), "");
    }
}
