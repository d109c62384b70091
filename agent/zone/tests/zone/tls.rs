//! Certificates on both sides: who has none, or one of another authority, neither asks nor answers.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use siltstone_zone::grpc::{Tls, TlsError, TlsFiles};
use tempfile::TempDir;

use crate::kit::{PAGES, Plan, World};

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Authority { issuer, dir: tempfile::tempdir().unwrap() }
    }

    /// Files for an agent with a certificate that holds these names, which trusts `trusted`.
    fn files(&self, names: &[&str], trusted: &Authority) -> TlsFiles {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let signed = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        let number = std::fs::read_dir(self.dir.path()).unwrap().count();
        let file = |name: &str, text: String| {
            let path = self.dir.path().join(format!("{number}-{name}.pem"));
            std::fs::write(&path, text).unwrap();
            path
        };
        TlsFiles {
            certificate: file("certificate", signed.pem()),
            key: file("key", key.serialize_pem()),
            authority: file("authority", trusted.issuer.pem()),
            name: None,
        }
    }

    fn tls(&self, names: &[&str]) -> Arc<Tls> {
        Arc::new(Tls::open(self.files(names, self)).unwrap())
    }
}

/// Two agents read the same. Whether they shared what they read: else each has read all from the bucket.
async fn share(one: Option<Arc<Tls>>, other: Option<Arc<Tls>>) -> bool {
    let world = World::new(4).await;
    let plan = |node, tls| Plan { tls, patience: Duration::from_secs(20), ..Plan::new(node) };
    let agents = [world.agent(plan(1, one)).await, world.agent(plan(2, other)).await];
    for agent in &agents {
        for number in 0..4 {
            agent.read_all(number).await;
        }
    }
    let gets = world.gets();
    assert!(gets == 4 * PAGES || gets == 8 * PAGES, "all or nothing: {gets}");
    gets == 4 * PAGES
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_of_one_authority_share() {
    let authority = Authority::new();
    let tls = || Some(authority.tls(&["127.0.0.1"]));
    assert!(share(tls(), tls()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_certificate_gets_nothing_and_gives_nothing() {
    let authority = Authority::new();
    assert!(!share(Some(authority.tls(&["127.0.0.1"])), None).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_authority_is_not_believed() {
    let (authority, other) = (Authority::new(), Authority::new());
    assert!(!share(Some(authority.tls(&["127.0.0.1"])), Some(other.tls(&["127.0.0.1"]))).await);
    // One that believes us, and has a certificate that we don't believe.
    let liar = Arc::new(Tls::open(other.files(&["127.0.0.1"], &authority)).unwrap());
    assert!(!share(Some(authority.tls(&["127.0.0.1"])), Some(liar)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_must_hold_the_host_or_the_name_that_is_set() {
    let authority = Authority::new();
    let elsewhere = || Some(authority.tls(&["elsewhere.example"]));
    assert!(!share(elsewhere(), elsewhere()).await, "they are reached by an address that it does not hold");
    let named = |names: &[&str]| {
        let files = authority.files(names, &authority);
        Some(Arc::new(Tls::open(TlsFiles { name: Some("agents.example".into()), ..files }).unwrap()))
    };
    assert!(share(named(&["agents.example"]), named(&["agents.example", "b.example"])).await);
    assert!(!share(named(&["agents.example"]), named(&["127.0.0.1"])).await, "an asker must hold it, too");
}

fn copy(from: &TlsFiles, to: &TlsFiles) {
    for (from, to) in
        [(&from.certificate, &to.certificate), (&from.key, &to.key), (&from.authority, &to.authority)]
    {
        std::fs::copy(from, to).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_read_anew() {
    let (old, new) = (Authority::new(), Authority::new());
    let files = old.files(&["127.0.0.1"], &old);
    let tls = Arc::new(Tls::open(files.clone()).unwrap());
    assert_eq!(tls.reload(), Ok(false), "nothing is new");
    copy(&new.files(&["127.0.0.1"], &new), &files);
    assert_eq!(tls.reload(), Ok(true));
    std::fs::write(&files.key, "not a key").unwrap();
    assert!(matches!(tls.reload(), Err(TlsError::File { file, .. }) if file == files.key));
    assert!(share(Some(tls), Some(new.tls(&["127.0.0.1"]))).await, "the good ones still hold");
}

#[test]
fn files_that_can_not_be_used_are_named() {
    let (authority, other) = (Authority::new(), Authority::new());
    let good = authority.files(&["127.0.0.1"], &authority);
    let nowhere = Path::new("/nonexistent").to_owned();
    let missing = Tls::open(TlsFiles { authority: nowhere.clone(), ..good.clone() }).unwrap_err();
    assert!(matches!(missing, TlsError::File { file, .. } if file == nowhere));
    let swapped = Tls::open(TlsFiles { certificate: good.key.clone(), ..good.clone() }).unwrap_err();
    assert!(matches!(swapped, TlsError::File { .. }), "{swapped}");
    let unfit = Tls::open(TlsFiles { key: other.files(&["a"], &other).key, ..good.clone() }).unwrap_err();
    assert!(matches!(unfit, TlsError::Unusable { .. }), "{unfit}");
    let name = Tls::open(TlsFiles { name: Some("no name".into()), ..good }).unwrap_err();
    assert_eq!(name, TlsError::Name("no name".into()));
}
