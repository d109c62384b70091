//! Where settings are given: flags, environment, a file. Nothing is judged here but the form.

use std::fmt;
use std::path::{Path, PathBuf};

use super::resolve::Problem;
use super::table::TABLE;

/// What every environment variable of a setting begins with.
const PREFIX: &str = "SILTSTONE_";
/// Between the tables of a name in the environment.
const BETWEEN: &str = "__";

/// Who set it. An earlier one wins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A flag, as it is written.
    Flag(String),
    /// An environment variable.
    Environment(String),
    /// A file.
    File(PathBuf),
    /// Nobody.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Flag(flag) => write!(f, "flag {flag}"),
            Source::Environment(variable) => write!(f, "environment variable {variable}"),
            Source::File(path) => write!(f, "file {}", path.display()),
            Source::Default => f.write_str("default"),
        }
    }
}

/// A value that somebody gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Who.
    pub source: Source,
    /// The setting's name, which may be none.
    pub name: String,
    /// The value as text.
    pub text: String,
}

/// What the command line says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// The file to read; it must exist.
    pub config: Option<PathBuf>,
    /// Flag as written, name of the setting, value.
    pub values: Vec<(String, String, String)>,
}

impl Flags {
    pub(super) fn given(&self) -> Vec<Given> {
        let given = |(flag, name, text): &(String, String, String)| Given {
            source: Source::Flag(flag.clone()),
            name: name.clone(),
            text: text.clone(),
        };
        self.values.iter().map(given).collect()
    }
}

/// The variable that sets this setting.
pub(super) fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.replace('.', BETWEEN).to_uppercase())
}

/// Settings among the environment's variables.
///
/// A variable is one if it is `SILTSTONE_` and a setting's name, or has `__` in it. Others are not ours to judge (container platforms
/// invent such names), unless they are a setting's name but for its underscores.
pub(super) fn environment(
    variables: impl Iterator<Item = (String, String)>,
    problems: &mut Vec<Problem>,
) -> Vec<Given> {
    let mut given = Vec::new();
    for (variable_name, text) in variables {
        let Some(rest) = variable_name.strip_prefix(PREFIX) else { continue };
        let source = Source::Environment(variable_name.clone());
        if let Some(config) = rest.strip_prefix("KAFKA__") {
            let name = format!("kafka.{}", config.to_lowercase().replace('_', "."));
            given.push(Given { source, name, text });
        } else if rest.contains(BETWEEN) || TABLE.iter().any(|known| variable(known.name) == variable_name) {
            let name = rest.replace(BETWEEN, ".").to_lowercase();
            given.push(Given { source, name, text });
        } else if let Some(meant) = meant_by(rest) {
            let why = format!("is not a setting; did you mean {meant}?");
            problems.push(Problem { name: variable_name, source, why });
        }
    }
    given
}

fn meant_by(rest: &str) -> Option<String> {
    let bare = |name: &str| name.to_lowercase().replace(['_', '.'], "");
    TABLE.iter().find(|known| bare(known.name) == bare(rest)).map(|known| variable(known.name))
}

/// Settings in a TOML file.
pub(super) fn file(path: &Path, problems: &mut Vec<Problem>) -> Vec<Given> {
    let source = Source::File(path.to_owned());
    let mut failed = |why: String| {
        problems.push(Problem { name: String::new(), source: source.clone(), why });
        Vec::new()
    };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return failed(format!("can't be read: {error}")),
    };
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(error) => return failed(format!("is not TOML: {}", error.to_string().trim_end())),
    };
    let mut given = Vec::new();
    for (key, value) in table {
        flatten(&key, &value, &source, &mut given, problems);
    }
    given
}

fn flatten(
    name: &str,
    value: &toml::Value,
    source: &Source,
    given: &mut Vec<Given>,
    problems: &mut Vec<Problem>,
) {
    if let toml::Value::Table(table) = value {
        for (key, value) in table {
            flatten(&format!("{name}.{key}"), value, source, given, problems);
        }
        return;
    }
    match text_of(value) {
        Some(text) => given.push(Given { source: source.clone(), name: name.to_owned(), text }),
        None => problems.push(Problem {
            name: name.to_owned(),
            source: source.clone(),
            why: "must be a text, a number, true or false, or a list of such".to_owned(),
        }),
    }
}

fn text_of(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        toml::Value::Array(items) => {
            let texts: Option<Vec<String>> =
                items.iter().map(|item| if item.is_array() { None } else { text_of(item) }).collect();
            texts.map(|texts| texts.join(","))
        }
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}
