//! What a store may learn from around the process: variables, and the files of AWS profiles.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Environment variables as a value, so that tests and the simulation depend on none. The default is empty.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

/// Beginnings of the variables that matter here; no others are kept.
const OURS: [&str; 5] = ["AWS_", "GOOGLE_", "AZURE_", "IDENTITY_", "MSI_"];

impl Environment {
    /// That of this process. Variables that are no UTF-8 are left out, empty ones count as not set.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// A variable's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// All variables whose names begin so, in order of names.
    pub(crate) fn beginning(&self, start: &str) -> impl Iterator<Item = (&str, &str)> {
        let all = self.variables.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        all.filter(move |(key, _)| key.starts_with(start))
    }

    /// A file that the variable `name` names, or else one in `~/.aws`.
    pub(crate) fn aws_file(&self, name: &str, default: &str) -> Option<PathBuf> {
        let home = || Some(PathBuf::from(self.get("HOME")?).join(".aws").join(default));
        self.get(name).map(PathBuf::from).or_else(home)
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        let ours = |key: &str| {
            key == "HOME" || key == "SERVICE_ACCOUNT" || OURS.iter().any(|start| key.starts_with(start))
        };
        Self {
            variables: variables.into_iter().filter(|(key, value)| ours(key) && !value.is_empty()).collect(),
        }
    }
}
