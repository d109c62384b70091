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
}

impl std::fmt::Display for MetadataUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Value for MetadataUrl {
    const KIND: &'static str = "URL";

    #[cfg(feature = "postgres")]
    fn parse(text: &str) -> Result<Self, String> {
        let shown = siltstone_store::postgres::Address::parse(text)?.to_string();
        Ok(MetadataUrl { whole: Secret::new(text), shown })
    }

    #[cfg(not(feature = "postgres"))]
    fn parse(_: &str) -> Result<Self, String> {
        Err("this program was built without a metadata store that agents could share".to_owned())
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
}
