//! The URLs of object stores.

use std::fmt;
use std::path::PathBuf;

use url::Url;

/// A store's URL, taken apart. Prefixes have no slash at either end and may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// `file:///dir`: a local directory, synced.
    File {
        /// Absolute.
        dir: PathBuf,
    },
    /// `memory://`: gone with the process. For trying things out.
    Memory,
    /// `s3://bucket/prefix`
    S3 {
        /// The bucket's name.
        bucket: String,
        /// What all names begin with.
        prefix: String,
    },
    /// `gs://bucket/prefix`
    Google {
        /// The bucket's name.
        bucket: String,
        /// What all names begin with.
        prefix: String,
    },
    /// `az://container/prefix`
    Azure {
        /// The container's name.
        container: String,
        /// What all names begin with.
        prefix: String,
    },
}

impl StoreUrl {
    /// Parses a URL; the error is a sentence beginning with `url:`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| {
            format!("url: {text:?} is none ({error}): expected file:///dir, s3://bucket/prefix, gs://, az:// or memory://")
        })?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("url: must not hold credentials: give them as settings or in the environment".into());
        }
        if url.query().is_some() || url.fragment().is_some() || url.port().is_some() {
            return Err(
                "url: port, ? and # have no meaning here: endpoint and region are settings of their own"
                    .into(),
            );
        }
        let bucket = || match url.host_str() {
            Some(host) if !host.is_empty() => Ok(host.to_owned()),
            _ => Err(format!("url: {text:?} names no bucket")),
        };
        match url.scheme() {
            "file" => Self::file(text, &url),
            "memory" if bucket().is_err() && prefix(&url)?.is_empty() => Ok(Self::Memory),
            "memory" => Err("url: memory:// takes neither bucket nor prefix".into()),
            "s3" => Ok(Self::S3 { bucket: bucket()?, prefix: prefix(&url)? }),
            "gs" => Ok(Self::Google { bucket: bucket()?, prefix: prefix(&url)? }),
            "az" => Ok(Self::Azure { container: bucket()?, prefix: prefix(&url)? }),
            other => Err(format!("url: {other}:// is not known: expected file, s3, gs, az or memory")),
        }
    }

    fn file(text: &str, url: &Url) -> Result<Self, String> {
        match url.to_file_path() {
            // `file://dir/x` would name the host `dir`, and `file://./x` silently the root.
            Ok(dir) if text.starts_with("file:///") => Ok(Self::File { dir }),
            _ => Err(format!("url: {text:?} must hold an absolute path, as in file:///dir")),
        }
    }
}

/// The path without slashes at its ends, every part of it fit for an object's name.
fn prefix(url: &Url) -> Result<String, String> {
    let path = url.path().trim_matches('/');
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.=+".contains(c))
    };
    if path.is_empty() || path.split('/').all(plain) {
        return Ok(path.to_owned());
    }
    Err(format!("url: the prefix {path:?} may have letters, digits and -_.=+ between its slashes"))
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { dir } => write!(f, "file://{}", dir.display()),
            Self::Memory => f.write_str("memory://"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
            Self::Google { bucket, prefix } => write!(f, "gs://{bucket}/{prefix}"),
            Self::Azure { container, prefix } => write!(f, "az://{container}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let s3 = |bucket: &str, prefix: &str| StoreUrl::S3 { bucket: bucket.into(), prefix: prefix.into() };
        assert_eq!(StoreUrl::parse("s3://logs"), Ok(s3("logs", "")));
        assert_eq!(StoreUrl::parse("s3://logs/a/b=1/"), Ok(s3("logs", "a/b=1")));
        assert_eq!(StoreUrl::parse("file:///var/x%20y"), Ok(StoreUrl::File { dir: "/var/x y".into() }));
        assert_eq!(StoreUrl::parse("memory://"), Ok(StoreUrl::Memory));
        assert_eq!(StoreUrl::parse("memory:///"), Ok(StoreUrl::Memory));
    }

    #[test]
    fn bad_urls_say_why() {
        for bad in [
            "logs",
            "ftp://x",
            "s3://",
            "s3:///x",
            "s3://k:s@b/p",
            "s3://b/p?region=x",
            "s3://b:90/p",
            "s3://b/a//b",
            "s3://b/.x",
            "file://x/y",
            "file://./x",
            "memory://x",
            "gs:///",
            "az://",
        ] {
            let problem = StoreUrl::parse(bad).expect_err(bad);
            assert!(problem.starts_with("url: "), "{bad}: {problem}");
        }
    }
}
