//! Where a metadata store is that several agents share. What is shown of it never holds the password.

use siltstone_objects::Secret;

use super::value::Value;

/// The URL of a metadata store, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct MetadataUrl {
    whole: Secret,
    shown: String,
}

impl MetadataUrl {
    /// The URL with everything in it.
    pub fn whole(&self) -> &Secret {
        &self.whole
    }

    /// Whether it is FoundationDB's.
    pub fn is_foundationdb(&self) -> bool {
        is_fdb(self.whole.expose())
    }
}

impl std::fmt::Display for MetadataUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

fn is_fdb(text: &str) -> bool {
    text.starts_with("fdb:")
}

#[cfg(feature = "postgres")]
fn postgres(text: &str) -> Result<String, String> {
    Ok(siltstone_store::postgres::Address::parse(text)?.to_string())
}

#[cfg(not(feature = "postgres"))]
fn postgres(_: &str) -> Result<String, String> {
    Err("this program was built without PostgreSQL (its cargo feature is `postgres`)".to_owned())
}

#[cfg(feature = "foundationdb")]
fn foundationdb(text: &str) -> Result<String, String> {
    Ok(siltstone_store::fdb::Address::parse(text)?.to_string())
}

#[cfg(not(feature = "foundationdb"))]
fn foundationdb(_: &str) -> Result<String, String> {
    Err("this program was built without FoundationDB (its cargo feature is `foundationdb`)".to_owned())
}

impl Value for MetadataUrl {
    const KIND: &'static str = "URL";

    fn parse(text: &str) -> Result<Self, String> {
        let shown = if is_fdb(text) { foundationdb(text)? } else { postgres(text)? };
        Ok(MetadataUrl { whole: Secret::new(text), shown })
    }

    fn show(&self) -> Option<String> {
        Some(self.shown.clone())
    }
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "postgres")]
    #[test]
    fn what_is_shown_holds_no_password() {
        use super::*;
        let url = MetadataUrl::parse("postgres://me:pa55@db.example/silt").unwrap();
        assert_eq!(url.show().as_deref(), Some("postgres://me@db.example:5432/silt"));
        assert!(!format!("{url:?} {url}").contains("pa55"));
        assert_eq!(MetadataUrl::parse(&url.to_string()).unwrap().show(), url.show());
        assert!(MetadataUrl::parse("file:///x").is_err());
    }

    #[cfg(feature = "foundationdb")]
    #[test]
    fn foundationdb_is_named_by_its_cluster_file() {
        use super::*;
        let url = MetadataUrl::parse("fdb:///etc/foundationdb/fdb.cluster?prefix=a").unwrap();
        assert!(url.is_foundationdb());
        assert_eq!(url.show().as_deref(), Some("fdb:///etc/foundationdb/fdb.cluster?prefix=a"));
    }
}
