//! What is generated over all APIs: the enum of API keys, and the enums of requests and responses.

use super::line;
use super::names::snake;
use crate::codegen::model::Api;
use std::fmt::Write as _;

/// Writes `ApiKey` with its table, then `Request` and `Response`.
pub fn emit(out: &mut String, apis: &[&Api]) {
    keys(out, apis);
    info(out, apis);
    messages(out, apis, "Request", "request");
    messages(out, apis, "Response", "response");
}

fn keys(out: &mut String, apis: &[&Api]) {
    line!(out, "/// The APIs that this crate knows, by their key on the wire.");
    line!(out, "#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]");
    line!(out, "#[repr(i16)]\npub enum ApiKey {{");
    for api in apis {
        line!(out, "/// {}: {}.\n{} = {},", api.name, api.versions.words(), api.name, api.key);
    }
    line!(out, "}}");
}

fn info(out: &mut String, apis: &[&Api]) {
    line!(out, "impl ApiKey {{\n/// Every API, in the order of keys.");
    line!(out, "pub const ALL: &'static [ApiKey] = &[");
    apis.iter().for_each(|api| line!(out, "ApiKey::{},", api.name));
    line!(out, "];\n/// The API with this key, if this crate knows it.");
    line!(out, "pub fn from_code(code: i16) -> Option<ApiKey> {{\nmatch code {{");
    apis.iter().for_each(|api| line!(out, "{} => Some(ApiKey::{}),", api.key, api.name));
    line!(out, "_ => None,\n}}\n}}");
    line!(out, "pub(crate) const fn info(self) -> &'static crate::api::Info {{\nmatch self {{");
    for api in apis {
        let (lo, hi) = (api.versions.lo, api.versions.hi);
        let (from, to) = (api.advertised_from.unwrap_or(lo), if api.unstable { hi - 1 } else { hi });
        let flexible = api.flexible.unwrap_or(i16::MAX);
        line!(out, "ApiKey::{0} => &crate::api::Info {{ name: \"{0}\", lo: {lo}, hi: {hi}, ", api.name);
        line!(out, "advertised_lo: {from}, advertised_hi: {to}, flexible: {flexible} }},");
    }
    line!(out, "}}\n}}\n}}");
}

fn messages(out: &mut String, apis: &[&Api], name: &str, role: &str) {
    line!(out, "/// A {role} of any API.\n#[derive(Debug, Clone, PartialEq)]");
    line!(
        out,
        "#[allow(clippy::large_enum_variant, reason = \"Fetch and Produce are large and the most frequent\")]"
    );
    line!(out, "pub enum {name} {{");
    for api in apis {
        line!(out, "/// The {role} of {0}.\n{0}({1}::{name}),", api.name, snake(&api.name));
    }
    line!(out, "}}\nimpl {name} {{\n/// The API that the {role} belongs to.");
    line!(out, "pub fn api(&self) -> ApiKey {{\nmatch self {{");
    apis.iter().for_each(|api| line!(out, "{name}::{0}(_) => ApiKey::{0},", api.name));
    line!(out, "}}\n}}\n/// An empty {role} of `api`, with Kafka's defaults.");
    line!(out, "pub fn empty(api: ApiKey) -> Self {{\nmatch api {{");
    apis.iter().for_each(|api| line!(out, "ApiKey::{0} => {name}::{0}(Default::default()),", api.name));
    line!(out, "}}\n}}");
    visitor(
        out,
        apis,
        name,
        "read",
        "&mut self, d: &mut crate::Decoder<'_>",
        "d",
        "Result<(), crate::DecodeError>",
    );
    visitor(out, apis, name, "write", "&self, w: &mut crate::Writer", "w", "Result<(), crate::EncodeError>");
    line!(out, "}}");
    for api in apis {
        let path = format!("{}::{name}", snake(&api.name));
        line!(out, "impl From<{path}> for {name} {{");
        line!(out, "fn from(message: {path}) -> Self {{\n{name}::{}(message)\n}}\n}}", api.name);
    }
    line!(out, "#[cfg(feature = \"testing\")]\nimpl crate::testing::Fill for {name} {{");
    line!(out, "fn fill(&mut self, g: &mut crate::testing::Gen, v: i16) {{\nmatch self {{");
    apis.iter().for_each(|api| line!(out, "{name}::{}(m) => m.fill(g, v),", api.name));
    line!(out, "}}\n}}\n}}");
}

fn visitor(
    out: &mut String,
    apis: &[&Api],
    name: &str,
    method: &str,
    receiver: &str,
    arg: &str,
    result: &str,
) {
    line!(
        out,
        "pub(crate) fn {method}_body({receiver}) -> {result} {{\nuse crate::wire::Wire as _;\nmatch self {{"
    );
    apis.iter().for_each(|api| line!(out, "{name}::{}(m) => m.{method}({arg}),", api.name));
    line!(out, "}}\n}}");
}
