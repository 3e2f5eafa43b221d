//! Which config rules: what names one, where it is looked for, and that docent says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::helper::{DOCENT, Run, World};

/// A user's surroundings: a home folder, a folder to work in, and what the variables say.
struct User<'a> {
    world: &'a World,
    variables: Vec<(&'static str, String)>,
}

impl<'a> User<'a> {
    fn new(world: &'a World) -> User<'a> {
        let home = world.path().join("home");
        fs::create_dir_all(&home).expect("a home folder");
        let variables = vec![("HOME", home.display().to_string())];
        User { world, variables }
    }

    fn with(&self, name: &'static str, value: impl ToString) -> User<'a> {
        let mut variables = self.variables.clone();
        variables.push((name, value.to_string()));
        User {
            world: self.world,
            variables,
        }
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var_os("PATH").unwrap_or_default();
        command
            .env_clear()
            .env("PATH", path)
            .envs(self.variables.clone());
        command.current_dir(self.world.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Run {
        Run::of(self.command(DOCENT).args(arguments))
    }

    /// The file that `config show` names, and why.
    fn shown(&self) -> (String, String) {
        let run = self.run(&["config", "show", "--json"]);
        let found = run.json().unwrap_or_else(|| panic!("{}", run.stderr()));
        let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        (text("file"), text("why"))
    }
}

fn is_installed() -> bool {
    Path::new("/etc/docent/docent.toml").exists()
}

/// Puts the world's config where another one is looked for.
fn place(world: &World, at: &str) -> PathBuf {
    let path = world.path().join(at);
    fs::create_dir_all(path.parent().expect("a folder")).expect("its folder");
    let text = fs::read_to_string(world.config()).expect("the config");
    let root = format!("path = {:?}", world.docs());
    let text = text.replace("path = \"docs\"", &root);
    let text = text.replace("\"data\"", &format!("{:?}", world.data()));
    fs::write(&path, text).expect("a config");
    path
}

#[test]
fn a_config_is_found_where_it_is_said_to_be_and_never_in_the_working_directory() {
    let world = World::new("");
    let user = User::new(&world);
    // As the checkout of docent has them.
    place(&world, "config/docent.toml");
    place(&world, "docent.toml");
    let (file, why) = user.shown();
    if !is_installed() {
        assert_eq!(file, "", "{why}");
        assert!(why.contains(".config/docent/docent.toml"), "{why}");
    }
    let own = place(&world, "home/.config/docent/docent.toml");
    let (file, why) = user.shown();
    assert_eq!(file, own.display().to_string());
    assert!(why.contains("DOCENT_CONFIG"), "{why}");
    let xdg = place(&world, "xdg/docent/docent.toml");
    let user = user.with("XDG_CONFIG_HOME", world.path().join("xdg").display());
    assert_eq!(user.shown().0, xdg.display().to_string());
    // A relative one counts from the working directory, as that of --config.
    let named = user.with("DOCENT_CONFIG", "config/docent.toml");
    let config = (
        "config/docent.toml".to_owned(),
        "DOCENT_CONFIG names it".to_owned(),
    );
    assert_eq!(named.shown(), config);
    let text = named.run(&["config", "show"]).stdout();
    let head = text.lines().next().unwrap_or_default();
    assert!(
        head.starts_with("# config: config/docent.toml (DOCENT_CONFIG names it); also there: ")
            && head.contains(xdg.to_str().expect("a plain path")),
        "{head}"
    );
    assert_eq!(
        user.with("DOCENT_CONFIG", "").shown().0,
        xdg.display().to_string()
    );
}

#[test]
fn a_config_that_is_named_and_not_there_is_an_error_that_says_so() {
    let world = World::new("");
    place(&world, "home/.config/docent/docent.toml");
    let user = User::new(&world).with("DOCENT_CONFIG", "lost.toml");
    let whole = world.path().join("lost.toml").display().to_string();
    for verb in [&["status"][..], &["run"], &["check"], &["config", "show"]] {
        let run = user.run(verb);
        assert_eq!(run.code(), 78, "{verb:?}: {}", run.stderr());
        let said = run.stdout() + &run.stderr();
        for part in [
            "lost.toml: cannot be read",
            &whole,
            "DOCENT_CONFIG names it",
        ] {
            assert!(said.contains(part), "{verb:?}: {said}");
        }
    }
    let run = user.run(&["status", "--config", "gone.toml"]);
    assert_eq!(run.code(), 78);
    assert!(!run.stderr().contains("DOCENT_CONFIG"), "{}", run.stderr());
}

#[test]
fn where_nobody_answers_the_config_is_named_and_the_command_that_starts_a_daemon_works() {
    let world = World::new("");
    let own = place(&world, "home/.config/docent/docent.toml");
    let named = place(&world, "it is mine/docent.toml");
    let user = User::new(&world);
    let flag = ["--config", named.to_str().expect("a plain path")];
    for (verb, code) in [("status", 3), ("jobs", 69)] {
        let run = user.run(&[verb]);
        assert_eq!(run.code(), code, "{}", run.stderr());
        let said = run.stdout() + &run.stderr();
        let config = format!(
            "config: {} (your own config; neither --config nor DOCENT_CONFIG names one)",
            own.display()
        );
        assert!(said.contains(&config), "{said}");

        let run = user.run(&[&[verb][..], &flag].concat());
        assert_eq!(run.code(), code, "{}", run.stderr());
        let said = run.stdout() + &run.stderr();
        let config = format!(
            "config: {} (--config names it); also there: {}",
            named.display(),
            own.display()
        );
        assert!(said.contains(&config), "{said}");
        let command = said.split('`').nth(1).expect("a command");
        assert!(command.contains(" run --config '"), "{command}");
        let mut shell = user.command("sh");
        shell.args(["-c", &format!("exec {command}")]);
        let daemon = world.spawn_as(shell);
        world.until("the daemon that the advice started answers", || {
            user.run(&[&["status"][..], &flag].concat()).code() == 0
        });
        assert_eq!(daemon.stop(), Some(0), "{}", world.log());
    }
}
