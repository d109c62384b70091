//! The pages of docs/configuration are what the tables say.

use std::path::PathBuf;

fn compare(file: &str, page: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration").join(file);
    if std::env::var_os("SILTSTONE_WRITE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is made");
        std::fs::write(&path, page).expect("the page is written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let line = found.lines().zip(page.lines()).position(|(a, b)| a != b);
    assert!(
        found == page,
        "docs/configuration/{file} is not what the tables say (first difference at line {}). Make it again:\n\
         SILTSTONE_WRITE_DOCS=1 cargo test -p siltstone-configs --test docs",
        line.unwrap_or_else(|| found.lines().count().min(page.lines().count())) + 1,
    );
}

#[test]
fn topics() {
    compare("topics.md", &siltstone_configs::topic_page());
}

#[test]
fn brokers() {
    compare("brokers.md", &siltstone_configs::broker_page());
}
