//! From what was given to what holds: precedence, defaults, and every problem at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use siltstone_configs::broker;

use super::check;
use super::read::{self, Flags, Given, Source};
use super::table::{Definition, Fallback, Settings, TABLE, find, nearest};

/// The file that is read if it is there and no other is named.
const FILE: &str = "siltstone.toml";
/// What begins the names of Kafka's configs.
pub(super) const KAFKA: &str = "kafka.";

/// Something wrong with a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The setting, or what was taken for one; empty if a whole file is meant.
    pub name: String,
    /// Who set it.
    pub source: Source,
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_empty() {
            write!(f, "{} {}", self.source, self.why)
        } else {
            write!(f, "{} ({}): {}", self.name, self.source, self.why)
        }
    }
}

/// Every problem that was found. Nothing may start with such settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings can't be used:")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

/// One setting as it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Its value; `None` if it has none. Secrets are not shown.
    pub value: Option<String>,
    /// Who set it.
    pub source: Source,
}

/// The settings that hold, and where each came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Effective {
    /// The settings.
    pub settings: Settings,
    /// One row each.
    pub rows: Vec<Row>,
}

/// Reads flags, environment and file of this process.
///
/// # Errors
/// Every problem.
pub fn load(flags: &Flags) -> Result<Effective, Problems> {
    let variables = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
    resolve(flags, variables.collect(), Path::new("."))
}

/// The settings that follow from these flags, variables, and the file that they name or that lies in `directory`.
///
/// # Errors
/// Every problem.
pub fn resolve(
    flags: &Flags,
    variables: Vec<(String, String)>,
    directory: &Path,
) -> Result<Effective, Problems> {
    let mut problems = Vec::new();
    let mut given = flags.given();
    let config_variable =
        variables.iter().find(|(name, value)| name == "SILTSTONE_CONFIG" && !value.is_empty());
    let named = flags.config.clone().or_else(|| config_variable.map(|(_, value)| PathBuf::from(value)));
    given.extend(read::environment(variables.into_iter(), &mut problems));
    let found = || Some(directory.join(FILE)).filter(|file| file.exists());
    if let Some(path) = named.or_else(found) {
        given.extend(read::file(&path, &mut problems));
    }
    let effective = Resolver::new(given, &mut problems).resolve(&mut problems);
    if problems.is_empty() { Ok(effective) } else { Err(Problems(problems)) }
}

/// Values by name, the winner of each.
struct Resolver {
    winners: BTreeMap<String, Given>,
    settings: Settings,
}

impl Resolver {
    /// Judges everything that was given; later ones only count where no earlier one is.
    fn new(given: Vec<Given>, problems: &mut Vec<Problem>) -> Self {
        let mut winners: BTreeMap<String, Given> = BTreeMap::new();
        let mut scratch = Settings::default();
        for one in given {
            if let Err(why) = judge(&mut scratch, &one) {
                problems.push(Problem { name: one.name, source: one.source, why });
            } else if !winners.contains_key(&one.name) {
                winners.insert(one.name.clone(), one);
            }
        }
        Resolver { winners, settings: Settings::default() }
    }

    fn resolve(mut self, problems: &mut Vec<Problem>) -> Effective {
        self.fill("data", false);
        self.fill("store.url", false);
        if self.settings.store_url.is_empty() {
            self.settings.store_url = default_store(&self.settings.data);
        }
        let local = is_local(&self.settings.store_url);
        for definition in TABLE.iter().filter(|d| !matches!(d.name, "data" | "store.url")) {
            self.fill(definition.name, local);
        }
        for (name, given) in self.winners.iter().filter(|(name, _)| name.starts_with(KAFKA)) {
            let config = &name[KAFKA.len()..];
            if let Ok(normalised) = broker::find(config).and_then(|definition| definition.check(&given.text))
            {
                self.settings.kafka.insert(config.to_owned(), normalised.text);
            }
        }
        // What is wrong by itself has its default here: a second complaint about it would only confuse.
        let wrong: BTreeSet<String> = problems.iter().map(|problem| problem.name.clone()).collect();
        for (name, why) in check::check(&self.settings).into_iter().filter(|(name, _)| !wrong.contains(*name))
        {
            problems.push(Problem { name: name.to_owned(), source: self.source(name), why });
        }
        let rows = self.rows();
        Effective { settings: self.settings, rows }
    }

    fn source(&self, name: &str) -> Source {
        self.winners.get(name).map_or(Source::Default, |given| given.source.clone())
    }

    fn fill(&mut self, name: &str, local: bool) {
        let Some(definition) = find(name) else { return };
        let given = self.winners.get(name).map(|given| given.text.clone());
        let text = given.or_else(|| default_text(definition, local).map(str::to_owned));
        // Texts in the table are right (a test sees to it), and those given have been judged.
        let _ = text.map(|text| (definition.set)(&mut self.settings, &text));
    }

    fn rows(&self) -> Vec<Row> {
        let settings = TABLE.iter().map(|definition| Row {
            name: definition.name.to_owned(),
            value: (definition.get)(&self.settings),
            source: self.source(definition.name),
        });
        let kafka = self.settings.kafka.iter().map(|(name, value)| Row {
            name: format!("{KAFKA}{name}"),
            value: Some(if secret(name) { "(hidden)".to_owned() } else { value.clone() }),
            source: self.source(&format!("{KAFKA}{name}")),
        });
        settings.chain(kafka).collect()
    }
}

fn secret(config: &str) -> bool {
    broker::find(config).is_ok_and(|definition| definition.sensitive())
}

fn judge(scratch: &mut Settings, given: &Given) -> Result<(), String> {
    if let Some(config) = given.name.strip_prefix(KAFKA) {
        if let Some((_, instead)) = check::FACTS.iter().find(|(fact, _)| *fact == config) {
            return Err(format!("follows from the setting {instead}; set that one"));
        }
        let definition = broker::find(config).map_err(|error| error.to_string())?;
        return definition.check(&given.text).map(drop).map_err(|error| error.to_string());
    }
    match find(&given.name) {
        Some(definition) => (definition.set)(scratch, &given.text),
        None => Err(match nearest(&given.name) {
            Some(known) => format!("is not a setting; did you mean {known}?"),
            None => "is not a setting; `siltstone config` lists them all".to_owned(),
        }),
    }
}

pub(super) fn default_text(definition: &Definition, local: bool) -> Option<&'static str> {
    match definition.default {
        Fallback::Is(text) => Some(text),
        Fallback::ByStore { local: text, .. } if local => Some(text),
        Fallback::ByStore { remote, .. } => Some(remote),
        Fallback::Follows(_) | Fallback::Unset(_) => None,
    }
}

/// Whether requests to this store stay on this machine.
pub(super) fn is_local(url: &str) -> bool {
    url.starts_with("file:") || url.starts_with("memory:")
}

fn default_store(data: &str) -> String {
    let data = std::path::absolute(data).unwrap_or_else(|_| PathBuf::from(data));
    match url::Url::from_directory_path(data.join("objects")) {
        Ok(url) => url.to_string().trim_end_matches('/').to_owned(),
        Err(()) => format!("file://{}", data.join("objects").display()),
    }
}
