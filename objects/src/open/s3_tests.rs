//! Where settings for S3 come from, case by case.

use super::*;
use crate::chance::Chance;
use crate::options::{Credentials, Secret};

/// An environment with a home whose profiles are `default` and `work`.
fn environment(variables: &[(&str, &str)]) -> (tempfile::TempDir, Environment) {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    let keys = "[default]\naws_access_key_id=D\naws_secret_access_key=d\n\
                [work]\naws_access_key_id=W\naws_secret_access_key=w\naws_session_token=t\n\
                [other]\nrole_arn=r\nsource_profile=default\n";
    std::fs::write(home.path().join(".aws/credentials"), keys).unwrap();
    std::fs::write(home.path().join(".aws/config"), "[profile work]\nregion=eu-north-1\n").unwrap();
    let home_variable = ("HOME".to_owned(), home.path().display().to_string());
    let given = variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let environment = given.chain([home_variable]).collect();
    (home, environment)
}

fn key_of(options: &Options, environment: &Environment) -> String {
    match decide("b", options, environment).unwrap().way {
        Way::Keys { id, .. } => id,
        other => format!("{other:?}"),
    }
}

const ENVIRONMENT_KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "E"), ("AWS_SECRET_ACCESS_KEY", "e")];

#[test]
fn credentials_come_in_the_documented_order() {
    let keys =
        Credentials { access_key_id: "S".into(), secret_access_key: Secret::new("s"), session_token: None };
    let none = Options::default();
    let profile = Options { profile: Some("work".into()), ..Options::default() };
    let settings = Options { credentials: Some(keys), ..Options::default() };
    let (_home, with_keys) = environment(&ENVIRONMENT_KEYS);
    assert_eq!(key_of(&settings, &with_keys), "S");
    assert_eq!(key_of(&profile, &with_keys), "W");
    assert_eq!(key_of(&none, &with_keys), "E");
    let (_home, named) = environment(&[("AWS_PROFILE", "work")]);
    assert_eq!(key_of(&none, &named), "W");
    let (_home, bare) = environment(&[]);
    assert_eq!(key_of(&none, &bare), "D");
    let (_home, web) = environment(&[("AWS_WEB_IDENTITY_TOKEN_FILE", "/t"), ("AWS_ROLE_ARN", "r")]);
    let way = decide("b", &none, &web).unwrap().way;
    assert_eq!(way, Way::WebIdentity { token_file: "/t".into(), role: "r".into(), session: None });
    let nothing = Environment::default();
    assert_eq!(decide("b", &none, &nothing).unwrap().way, Way::Surroundings);
    let anonymous = Options { anonymous: true, ..Options::default() };
    assert_eq!(decide("b", &anonymous, &with_keys).unwrap().way, Way::Anonymous);
}

#[test]
fn region_comes_from_settings_environment_profile() {
    let (_home, named) = environment(&[("AWS_PROFILE", "work")]);
    let region =
        |options: &Options, environment: &Environment| decide("b", options, environment).unwrap().region;
    assert_eq!(region(&Options::default(), &named).as_deref(), Some("eu-north-1"));
    let (_home, both) = environment(&[("AWS_PROFILE", "work"), ("AWS_DEFAULT_REGION", "x")]);
    assert_eq!(region(&Options::default(), &both).as_deref(), Some("x"));
    let set = Options { region: Some("y".into()), ..Options::default() };
    assert_eq!(region(&set, &both).as_deref(), Some("y"));
}

#[test]
fn payloads_are_signed_only_without_tls() {
    let bare = Environment::default();
    let plain = Options { endpoint: Some("http://h:9000".into()), allow_http: true, ..Options::default() };
    let decided = decide("b", &plain, &bare).unwrap();
    assert!(!decided.unsigned && !decided.virtual_host);
    let decided = decide("b", &Options::default(), &bare).unwrap();
    assert!(decided.unsigned && decided.virtual_host);
    let told = Options { unsigned_payload: Some(true), virtual_host: Some(true), ..plain };
    let decided = decide("b", &told, &bare).unwrap();
    assert!(decided.unsigned);
    assert_eq!(decided.endpoint.as_deref(), Some("http://b.h:9000"));
}

#[test]
fn what_cannot_work_is_refused_with_a_name() {
    let problem = |options: &Options, variables: &[(&str, &str)]| {
        let (_home, environment) = environment(variables);
        decide("b", options, &environment).expect_err("should be refused").join(" ")
    };
    let profile = |name: &str| Options { profile: Some(name.into()), ..Options::default() };
    assert!(problem(&profile("absent"), &[]).starts_with("profile: absent"));
    assert!(problem(&profile("other"), &[]).contains("assumes a role"));
    let half = [("AWS_ACCESS_KEY_ID", "E")];
    assert!(problem(&Options::default(), &half).starts_with("AWS_SECRET_ACCESS_KEY:"));
    let plain = [("AWS_ENDPOINT_URL", "http://h")];
    assert!(problem(&Options::default(), &plain).starts_with("allow_http:"));
}

#[test]
fn a_store_is_built_from_each_way() {
    for options in [
        Options::default(),
        Options { anonymous: true, ..Options::default() },
        Options { profile: Some("work".into()), virtual_host: Some(false), ..Options::default() },
    ] {
        let (_home, environment) = environment(&[]);
        let connector = Connector::new(&options, Arc::new(Chance::new(1)));
        let store = open("bucket", &options, &environment, connector).unwrap();
        assert!(store.to_string().contains("bucket"));
    }
}
