//! What a store said, found in an error's text: the HTTP status and the store's own code. Pure.
//!
//! The `object_store` crate keeps status and body to itself, but writes both into its message. Codes are looked for only where a store
//! puts them, so that a name in a path is never taken for one.

/// Asks us to send less: S3 and MinIO, Azure, Google.
const BUSY: [&str; 14] = [
    "SlowDown",
    "SlowDownRead",
    "SlowDownWrite",
    "ServerBusy",
    "ServiceUnavailable",
    "Throttling",
    "ThrottlingException",
    "RequestThrottled",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "TooManyRequests",
    "TooManyRequestsException",
    "rateLimitExceeded",
    "userRateLimitExceeded",
];

/// The bucket is not there, or may not be used by anybody.
const NO_BUCKET: [&str; 6] = [
    "NoSuchBucket",
    "ContainerNotFound",
    "ContainerBeingDeleted",
    "ContainerDisabled",
    "AllAccessDisabled",
    "AccountIsDisabled",
];

/// Who we say we are is not believed, or no longer. With statuses 401 and 403 it always is so; some of these come with 400.
const CREDENTIALS: [&str; 12] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidToken",
    "TokenRefreshRequired",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidIdentityToken",
    "SignatureDoesNotMatch",
    "RequestTimeTooSkewed",
    "AccessDenied",
    "AuthenticationFailed",
    "InvalidAuthenticationInfo",
];

/// The object is not there, the bucket is.
const NO_OBJECT: [&str; 4] = ["NoSuchKey", "NoSuchVersion", "BlobNotFound", "404"];

/// Status and code, as far as the store gave any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Said<'a> {
    pub status: Option<u16>,
    pub code: Option<&'a str>,
    text: &'a str,
}

impl<'a> Said<'a> {
    pub(crate) fn find(text: &'a str) -> Self {
        Self { status: status(text), code: code(text), text }
    }

    fn one_of(&self, codes: &[&str]) -> bool {
        self.code.is_some_and(|code| codes.contains(&code))
    }

    /// Send less.
    pub(crate) fn busy(&self) -> bool {
        matches!(self.status, Some(429 | 503)) || self.one_of(&BUSY)
    }

    /// It is the bucket that is missing, or closed.
    pub(crate) fn no_bucket(&self) -> bool {
        self.one_of(&NO_BUCKET) || self.text.contains("The specified bucket does not exist")
    }

    /// New credentials may help.
    pub(crate) fn credentials(&self) -> bool {
        matches!(self.status, Some(401 | 403)) || self.one_of(&CREDENTIALS)
    }

    /// "Not found" that can mean nothing but the object. Answers of something else on the way, such as a proxy's own page, do not.
    pub(crate) fn no_object(&self) -> bool {
        let by_http = self.status.is_some();
        !self.no_bucket() && (!by_http || self.one_of(&NO_OBJECT))
    }
}

/// The HTTP status that the text names.
fn status(text: &str) -> Option<u16> {
    let mark = "status code: ";
    let at = text.find(mark)? + mark.len();
    text.get(at..at + 3)?.parse().ok()
}

/// The store's code: in XML, in JSON, or as the crate names it for one of many deletes.
fn code(text: &str) -> Option<&str> {
    let between = |begin: &str, end: char| {
        let at = text.find(begin)? + begin.len();
        let rest = &text[at..];
        rest.find(end).map(|end| rest[..end].trim())
    };
    let xml = between("<Code>", '<');
    xml.or_else(|| between("(code: ", ')')).or_else(|| between("\"reason\": \"", '"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(status: &str, body: &str) -> String {
        format!(
            "Error performing PUT http://h/b/SlowDown in 1ms - Server returned non-2xx status code: {status}: {body}"
        )
    }

    fn xml(status: &str, code: &str) -> String {
        http(
            status,
            &format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>m</Message></Error>"),
        )
    }

    #[test]
    fn stores_that_ask_for_less_are_heard() {
        let json = http("403 Forbidden", "{\"error\": {\"errors\": [{\"reason\": \"rateLimitExceeded\"}]}}");
        let said = [
            xml("503 Service Unavailable", "SlowDown"),
            xml("503 Service Unavailable", "ServerBusy"),
            http("429 Too Many Requests", ""),
            "DeleteObjects request failed for key a: Please reduce your request rate. (code: SlowDown)"
                .into(),
            json,
        ];
        for text in &said {
            assert!(Said::find(text).busy(), "{text}");
        }
        for text in [
            xml("500 Internal", "InternalError"),
            http("404 Not Found", ""),
            xml("403 Forbidden", "AccessDenied"),
        ] {
            assert!(!Said::find(&text).busy(), "{text}");
        }
    }

    #[test]
    fn a_bucket_that_is_gone_is_no_missing_object() {
        for (status, code) in [
            ("404 Not Found", "NoSuchBucket"),
            ("404 Not Found", "ContainerNotFound"),
            ("409 Conflict", "ContainerBeingDeleted"),
        ] {
            let text = xml(status, code);
            let said = Said::find(&text);
            assert!(said.no_bucket() && !said.no_object(), "{text}");
        }
        for text in [xml("404 Not Found", "NoSuchKey"), "no such object".into(), "x (code: 404)".into()] {
            let said = Said::find(&text);
            assert!(!said.no_bucket() && said.no_object(), "{text}");
        }
        let page = http("404 Not Found", "<html>default backend</html>");
        assert!(!Said::find(&page).no_object());
    }

    #[test]
    fn credentials_are_told_from_other_refusals() {
        for (status, code) in [
            ("400 Bad Request", "ExpiredToken"),
            ("403 Forbidden", "InvalidAccessKeyId"),
            ("403 Forbidden", "RequestTimeTooSkewed"),
        ] {
            assert!(Said::find(&xml(status, code)).credentials(), "{code}");
        }
        assert!(Said::find(&http("401 Unauthorized", "")).credentials());
        assert!(!Said::find(&xml("400 Bad Request", "InvalidArgument")).credentials());
    }
}
