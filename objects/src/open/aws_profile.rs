//! Profiles in `~/.aws/credentials` and `~/.aws/config`, which the `object_store` crate does not read.
//!
//! Only what a server can use without a person: keys, session token, region, endpoint, web identity. A profile that assumes
//! a role from another profile, signs in through a browser or runs a program is refused with a sentence that says so.

use std::collections::BTreeMap;
use std::path::Path;

use super::environment::Environment;

/// Larger files are refused, not read.
const LARGEST: u64 = 1 << 20;

type Sections = BTreeMap<String, BTreeMap<String, String>>;

/// What a profile says, by the names of its settings.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Profile {
    pub name: String,
    settings: BTreeMap<String, String>,
}

impl Profile {
    pub(super) fn get(&self, setting: &str) -> Option<&str> {
        self.settings.get(setting).map(String::as_str)
    }

    /// Reads a profile from both files; the credentials file wins. None if neither knows it.
    pub(super) fn read(name: &str, environment: &Environment) -> Result<Option<Self>, String> {
        let config = environment.aws_file("AWS_CONFIG_FILE", "config");
        let keys = environment.aws_file("AWS_SHARED_CREDENTIALS_FILE", "credentials");
        let mut settings = BTreeMap::new();
        let mut known = false;
        let titles = [format!("profile {name}"), name.to_owned()];
        // In the config file only `default` may stand without the word.
        let in_config = if name == "default" { &titles[..] } else { &titles[..1] };
        for (file, titles) in [(config, in_config), (keys, &titles[1..])] {
            let Some(file) = file else { continue };
            let mut sections = read_file(&file)?;
            for section in titles.iter().rev().filter_map(|title| sections.remove(title)) {
                known = true;
                settings.extend(section);
            }
        }
        Ok(known.then(|| Self { name: name.to_owned(), settings }))
    }

    /// Why the profile's way to credentials can't be used, if it can't.
    pub(super) fn unusable(&self) -> Option<String> {
        let name = &self.name;
        let instead = "give keys, or a role through web identity or the instance";
        if self.get("credential_process").is_some() {
            return Some(format!(
                "profile: {name} runs a credential_process, which is not supported: {instead}"
            ));
        }
        if self.settings.keys().any(|key| key.starts_with("sso_")) {
            return Some(format!("profile: {name} signs in through SSO, which is not supported: {instead}"));
        }
        let assumes = self.get("source_profile").is_some() || self.get("credential_source").is_some();
        if self.get("role_arn").is_some() && assumes {
            return Some(format!(
                "profile: {name} assumes a role from a profile, which is not supported: {instead}"
            ));
        }
        None
    }
}

fn read_file(path: &Path) -> Result<Sections, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("profile: {} can't be read: {error}", path.display());
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Sections::new()),
        Err(error) => return Err(wrong(&error)),
        Ok(meta) if meta.len() > LARGEST => return Err(wrong(&"it is too large")),
        Ok(_) => {}
    }
    std::fs::read_to_string(path).map(|text| parse(&text)).map_err(|error| wrong(&error))
}

/// Sections in brackets, `key = value`, comments after `#` or `;` at the line's start or after a space. Indented lines belong to a
/// nested setting, which we have no use for. Lines of no such form are passed over, as AWS's own tools do.
fn parse(text: &str) -> Sections {
    let mut sections = Sections::new();
    let mut current: Option<String> = None;
    for line in text.lines() {
        let indented = line.starts_with([' ', '\t']);
        let line = uncommented(line).trim();
        if let Some(title) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
            sections.entry(title.clone()).or_default();
            current = Some(title);
        } else if let (Some(title), Some((key, value)), false) = (&current, line.split_once('='), indented) {
            let (key, value) = (key.trim().to_ascii_lowercase(), value.trim().to_owned());
            sections.entry(title.clone()).or_default().insert(key, value);
        }
    }
    sections
}

fn uncommented(line: &str) -> &str {
    if line.trim_start().starts_with(['#', ';']) {
        return "";
    }
    let end = [" #", " ;", "\t#", "\t;"].iter().filter_map(|mark| line.find(mark)).min();
    &line[..end.unwrap_or(line.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(dir: &Path) -> Environment {
        std::fs::create_dir(dir.join(".aws")).unwrap();
        let config = "[default]\nregion = eu-west-1 # near\n[profile  work]\nregion=us-west-2\ns3 =\n  max = 1\n[sso]\n\
                      [profile web]\nsso_session = x\n";
        let keys = "; comment\n[work]\naws_access_key_id = AK=ID\naws_secret_access_key= a#b\n";
        std::fs::write(dir.join(".aws/config"), config).unwrap();
        std::fs::write(dir.join(".aws/credentials"), keys).unwrap();
        Environment::from_iter([("HOME".to_owned(), dir.display().to_string())])
    }

    #[test]
    fn both_files_make_a_profile() {
        let dir = tempfile::tempdir().unwrap();
        let environment = environment(dir.path());
        let work = Profile::read("work", &environment).unwrap().unwrap();
        assert_eq!(work.get("region"), Some("us-west-2"));
        assert_eq!(work.get("aws_access_key_id"), Some("AK=ID"));
        assert_eq!(work.get("aws_secret_access_key"), Some("a#b"));
        assert_eq!(work.get("max"), None);
        let default = Profile::read("default", &environment).unwrap().unwrap();
        assert_eq!(default.get("region"), Some("eu-west-1"));
        assert_eq!(Profile::read("sso", &environment).unwrap(), None);
        let web = Profile::read("web", &environment).unwrap().unwrap();
        assert!(web.unusable().unwrap().contains("SSO"));
        assert_eq!(work.unusable(), None);
    }

    #[test]
    fn no_files_are_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let environment = Environment::from_iter([("HOME".to_owned(), dir.path().display().to_string())]);
        assert_eq!(Profile::read("default", &environment).unwrap(), None);
    }
}
