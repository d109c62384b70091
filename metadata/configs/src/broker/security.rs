//! TLS, SASL and authorization under Kafka's names.

use crate::definition::{Definition, Scope};
use crate::kind::Kind;
use crate::reasons::{JAVA, SECURITY};
use crate::rule::Rule;

/// The configs of this file.
pub(super) static TABLE: &[Definition] = &[
    Definition::new(Kind::String, "authorizer.class.name", "")
        .scope(Scope::ReadOnly)
        .refused(JAVA)
        .doc("A Java class that authorizes requests."),
    Definition::new(
        Kind::Class,
        "principal.builder.class",
        "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder",
    )
    .scope(Scope::PerBroker)
    .refused(JAVA)
    .doc("A Java class that names the principal of a connection."),
    Definition::new(Kind::List, "sasl.enabled.mechanisms", "GSSAPI")
        .scope(Scope::PerBroker)
        .refused(SECURITY)
        .doc("The SASL mechanisms on offer."),
    Definition::unset(Kind::Password, "sasl.jaas.config")
        .scope(Scope::PerBroker)
        .refused(SECURITY)
        .doc("JAAS settings of a login."),
    Definition::new(Kind::String, "sasl.kerberos.kinit.cmd", "/usr/bin/kinit")
        .scope(Scope::PerBroker)
        .refused(SECURITY)
        .doc("The command kinit."),
    Definition::new(Kind::Long, "sasl.kerberos.min.time.before.relogin", "60000")
        .scope(Scope::PerBroker)
        .refused(SECURITY)
        .doc("The shortest time between two Kerberos logins."),
    Definition::new(Kind::List, "sasl.kerberos.principal.to.local.rules", "DEFAULT")
        .scope(Scope::PerBroker)
        .refused(SECURITY)
        .doc("Rules that turn Kerberos principals into names."),
    Definition::unset(Kind::String, "sasl.kerberos.service.name")
        .scope(Scope::PerBroker)
        .refused(SECURITY)
        .doc("The Kerberos name of the service."),
    Definition::new(Kind::Double, "sasl.kerberos.ticket.renew.jitter", "0.05")
        .scope(Scope::PerBroker)
        .refused(SECURITY)
        .doc("By how much renewal of tickets is varied."),
    Definition::new(Kind::Double, "sasl.kerberos.ticket.renew.window.factor", "0.8")
        .scope(Scope::PerBroker)
        .refused(SECURITY)
        .doc("At which part of a ticket's life it is renewed."),
    Definition::new(Kind::Short, "sasl.login.refresh.buffer.seconds", "300")
        .scope(Scope::PerBroker)
        .refused(SECURITY)
        .doc("How long before its end a credential is renewed."),
    Definition::new(Kind::Short, "sasl.login.refresh.min.period.seconds", "60")
        .scope(Scope::PerBroker)
        .refused(SECURITY)
        .doc("The shortest time between two renewals of a credential."),
    Definition::new(Kind::Double, "sasl.login.refresh.window.factor", "0.8")
        .scope(Scope::PerBroker)
        .refused(SECURITY)
        .doc("At which part of a credential's life it is renewed."),
    Definition::new(Kind::Double, "sasl.login.refresh.window.jitter", "0.05")
        .scope(Scope::PerBroker)
        .refused(SECURITY)
        .doc("By how much renewal of credentials is varied."),
    Definition::new(Kind::String, "sasl.mechanism.inter.broker.protocol", "GSSAPI")
        .scope(Scope::PerBroker)
        .refused(SECURITY)
        .doc("The SASL mechanism which brokers use among themselves."),
    Definition::new(Kind::List, "ssl.cipher.suites", "")
        .scope(Scope::PerBroker)
        .refused(SECURITY)
        .doc("The cipher suites of TLS."),
    Definition::new(Kind::String, "ssl.client.auth", "none")
        .rule(Rule::OneOf(&["required", "requested", "none"]))
        .scope(Scope::PerBroker)
        .refused(SECURITY)
        .doc("Whether clients must show a certificate."),
    Definition::new(Kind::List, "ssl.enabled.protocols", "TLSv1.2,TLSv1.3")
        .scope(Scope::PerBroker)
        .refused(SECURITY)
        .doc("The versions of TLS on offer."),
    Definition::new(Kind::String, "ssl.endpoint.identification.algorithm", "https")
        .scope(Scope::PerBroker)
        .refused(SECURITY)
        .doc("How the name in a certificate is checked."),
    Definition::unset(Kind::Class, "ssl.engine.factory.class")
        .scope(Scope::PerBroker)
        .refused(JAVA)
        .doc("A Java class that makes TLS engines."),
    Definition::unset(Kind::Password, "ssl.key.password")
        .scope(Scope::PerBroker)
        .refused(SECURITY)
        .doc("The password of the private key."),
    Definition::new(Kind::String, "ssl.keymanager.algorithm", "SunX509")
        .scope(Scope::PerBroker)
        .refused(SECURITY)
        .doc("The key manager of the JVM."),
    Definition::unset(Kind::Password, "ssl.keystore.certificate.chain")
        .scope(Scope::PerBroker)
        .refused(SECURITY)
        .doc("The certificate chain, as PEM."),
    Definition::unset(Kind::Password, "ssl.keystore.key")
        .scope(Scope::PerBroker)
        .refused(SECURITY)
        .doc("The private key, as PEM."),
    Definition::unset(Kind::String, "ssl.keystore.location")
        .scope(Scope::PerBroker)
        .refused(SECURITY)
        .doc("The file of the key store."),
    Definition::unset(Kind::Password, "ssl.keystore.password")
        .scope(Scope::PerBroker)
        .refused(SECURITY)
        .doc("The password of the key store."),
    Definition::new(Kind::String, "ssl.keystore.type", "JKS")
        .scope(Scope::PerBroker)
        .refused(SECURITY)
        .doc("The format of the key store."),
    Definition::new(Kind::String, "ssl.protocol", "TLSv1.3")
        .scope(Scope::PerBroker)
        .refused(SECURITY)
        .doc("The version of TLS in use."),
    Definition::unset(Kind::String, "ssl.provider")
        .scope(Scope::PerBroker)
        .refused(SECURITY)
        .doc("The security provider of the JVM."),
    Definition::unset(Kind::String, "ssl.secure.random.implementation")
        .scope(Scope::PerBroker)
        .refused(SECURITY)
        .doc("The random numbers of the JVM."),
    Definition::new(Kind::String, "ssl.trustmanager.algorithm", "PKIX")
        .scope(Scope::PerBroker)
        .refused(SECURITY)
        .doc("The trust manager of the JVM."),
    Definition::unset(Kind::Password, "ssl.truststore.certificates")
        .scope(Scope::PerBroker)
        .refused(SECURITY)
        .doc("The trusted certificates, as PEM."),
    Definition::unset(Kind::String, "ssl.truststore.location")
        .scope(Scope::PerBroker)
        .refused(SECURITY)
        .doc("The file of the trust store."),
    Definition::unset(Kind::Password, "ssl.truststore.password")
        .scope(Scope::PerBroker)
        .refused(SECURITY)
        .doc("The password of the trust store."),
    Definition::new(Kind::String, "ssl.truststore.type", "JKS")
        .scope(Scope::PerBroker)
        .refused(SECURITY)
        .doc("The format of the trust store."),
];
