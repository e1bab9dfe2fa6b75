//! Every key of `avouch.toml`, once: the type that holds it, its default, and its documentation.
//!
//! The macro makes of each section a struct, a reader, and the descriptions from which unknown
//! keys are refused, values checked and docs/configuration.md written.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use toml::{Table, Value};

use super::values::{
    Address, CosignerKind, Count, Described, LogFilter, LogFormat, Logs, Said, SmtpTls, Span,
    UserName, WhenUnreachable,
};

/// The default of `hsm.keep_alive`.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A key as documented and checked.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it is for, each line of the comment as it stands.
    pub(crate) doc: &'static [&'static str],
    /// What its value looks like.
    pub(crate) expected: fn() -> String,
    /// Whether a value can stand here.
    pub(crate) fits: fn(&Value) -> bool,
    /// Whether it must be given.
    pub(crate) required: bool,
    /// Its value when it is not given.
    pub(crate) default: Option<Value>,
}

/// A section as documented and checked.
#[derive(Debug)]
pub(crate) struct Section {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it is for.
    pub(crate) doc: &'static [&'static str],
    /// Whether it must be there.
    pub(crate) required: bool,
    /// Its keys, in order.
    pub(crate) keys: Vec<Key>,
    /// Whether there are many of it, each with a name of its own: `[section.name]`.
    pub(crate) named: bool,
}

/// A key that must be given and is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Missing(pub(crate) &'static str);

fn fits<T: Described>(value: &Value) -> bool {
    T::deserialize(value.clone()).is_ok()
}

fn take<T: Described>(table: &Table, name: &'static str, default: Option<T>) -> Result<T, Missing> {
    let given = table.get(name).and_then(|value| T::deserialize(value.clone()).ok());
    given.or(default).or_else(T::absent).ok_or(Missing(name))
}

/// A value as it would be written; none for what is absent or empty.
fn shown<T: Described>(value: Option<T>) -> Option<Value> {
    let value = Value::try_from(value?).ok()?;
    let empty = value.as_table().is_some_and(Table::is_empty)
        || value.as_array().is_some_and(Vec::is_empty);
    (!empty).then_some(value)
}

macro_rules! sections {
    ($(
        $(#[doc = $section_doc:literal])+
        $section:ident {
            $(
                $(#[doc = $doc:literal])+
                $key:ident: $ty:ty $(= $default:expr)?;
            )+
        }
    )+) => {$(
        $(#[doc = $section_doc])+
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) struct $section {
            $($(#[doc = $doc])+ pub(crate) $key: $ty,)+
        }

        impl $section {
            /// Takes the values from a table whose keys were checked.
            pub(crate) fn read(table: &Table) -> Result<Self, Missing> {
                Ok(Self {
                    $($key: take(table, stringify!($key), sections!(@default $($default)?))?,)+
                })
            }

            /// All values as they would be written.
            #[allow(dead_code, reason = "of co-signers' sections, which are read alone")]
            pub(crate) fn write(&self) -> Vec<(&'static str, Option<Value>)> {
                vec![$((stringify!($key), shown(Some(self.$key.clone()))),)+]
            }

            fn describe(name: &'static str, required: bool) -> Section {
                let keys = vec![$({
                    let default: Option<$ty> = sections!(@default $($default)?);
                    let default = default.or_else(<$ty as Described>::absent);
                    Key {
                        name: stringify!($key),
                        doc: &[$($doc),+],
                        expected: <$ty as Described>::expected,
                        fits: fits::<$ty>,
                        required: default.is_none(),
                        default: shown(default),
                    }
                }),+];
                Section { name, doc: &[$($section_doc),+], required, keys, named: false }
            }
        }
    )+};
    (@default) => { None };
    (@default $default:expr) => { Some($default) };
}

/// Milliseconds of a second.
const S: u64 = 1000;

sections! {
    /// Where the database is: exactly one of `path` and `url`.
    RawStore {
        /// The SQLite file; made when it does not exist, readable by this user alone.
        path: Option<PathBuf>;
        /// The PostgreSQL database, without a password:
        /// `postgres://avouch@db.example/avouch?sslmode=verify-full&sslrootcert=/etc/avouch/db-ca.pem`.
        /// Another host is reached over verified TLS, unless `sslmode=disable` says that the network
        /// is protected otherwise. `?host=/run/postgresql` names the folder of a Unix socket.
        url: Option<String>;
        /// The password of the PostgreSQL user is in this file, which only this user can read. A
        /// line end after it is left out.
        password_file: Option<PathBuf>;
    }
    /// What holds the issuing key: a token behind a PKCS#11 module, or, for those without an HSM,
    /// a folder of key files. Exactly one of `module` and `software`, and for a token exactly one
    /// way to its PIN.
    RawHsm {
        /// The PKCS#11 module, a shared library. It is loaded by `avouch hsm-worker` alone.
        module: Option<PathBuf>;
        /// Label of the token.
        token: Option<String>;
        /// A text that the module wants when it is initialised (NSS softokn: where its database
        /// is). `{dir}` stands for this file's folder.
        init_args: Option<String>;
        /// A folder for key files. No identity ever moves to a new key with them.
        software: Option<PathBuf>;
        /// The PIN is in this file, which only this user can read. A line end after it is left out.
        pin_file: Option<PathBuf>;
        /// The PIN is the systemd credential of this name.
        pin_credential: Option<String>;
        /// The PIN is in the environment variable of this name.
        pin_env: Option<String>;
        /// The PIN is asked for on the terminal.
        pin_prompt: bool = false;
        /// The PIN is given after the start, by `avouch unlock`.
        pin_unlock: bool = false;
        /// The PIN is put together from shares that several operators hand in after the start, by
        /// `avouch unlock` ([more](hsm.md)). This file, which `avouch hsm split` wrote,
        /// says which; it is no secret, and read anew whenever shares come in.
        pin_shares: Option<PathBuf>;
        /// What the token is told of the keys that it makes: one of the compiled-in templates
        /// ([more](hsm.md)), for modules that refuse some of the attributes that others need.
        template: String = "standard".to_owned();
        /// Attributes of public keys that differ from the template's, by their names in the
        /// standard: `{ CKA_VERIFY = "omit" }`.
        public_attributes: BTreeMap<String, Said>;
        /// The same for private keys. `CKA_SENSITIVE`, `CKA_EXTRACTABLE` and `CKA_SIGN` may be left
        /// out, for tokens that set them themselves, and are never turned round.
        private_attributes: BTreeMap<String, Said>;
        /// Roots, PEM, by which the token's maker attests keys; `avouch hsm keys` holds
        /// attestations on the token against them.
        attestation_ca: Option<PathBuf>;
        /// The number of the attribute of private keys in which the token's maker attests them, for
        /// tokens that attest so: 0x80000000 (`CKA_VENDOR_DEFINED`) or greater.
        attestation_attribute: Option<Count<0x8000_0000, 0xffff_ffff>>;
        /// Sessions of each worker process.
        sessions: Count<1, 256> = Count(2);
        /// Worker processes.
        workers: Count<1, 64> = Count(1);
        /// A session that was idle for so long is used by ourselves, for tokens that close idle
        /// ones. `0s` leaves them alone.
        keep_alive: Span<0, { 3600 * S }> = Span(KEEP_ALIVE);
        /// Most memory of a worker process in MiB; past it it is replaced, for modules that leak.
        memory: Count<64, 65_536> = Count(1024);
        /// Environment variables for the workers, which some modules read. `{dir}` stands for the
        /// folder of the configuration.
        env: BTreeMap<String, String>;
    }
    /// The HTTPS side.
    RawGateway {
        /// Address and port for HTTPS.
        listen: Address;
        /// Where people reach it, without a slash at the end. Type URIs of problems begin with it.
        public_url: String;
        /// Its certificate and those of its issuers, leaf first, PEM. Certificate and key are taken
        /// anew when the files have changed, within ten seconds, and on SIGHUP.
        tls_certificate: PathBuf;
        /// Its private key, PEM.
        tls_key: PathBuf;
        /// The CA of enrolment agents' TLS certificates, PEM.
        agent_ca: Option<PathBuf>;
        /// Address and port for CRLs and issuing certificates over plain HTTP, and nothing else
        /// (RFC 5280 section 8: fetching a CRL over TLS may need that CRL).
        plain_listen: Option<Address>;
    }
    /// Users of the operating system. Without them `avouch serve` runs both processes as the user
    /// that starts it, and a gateway that is taken over can read what the authority can
    /// ([more](deployment.md)).
    RawUsers {
        /// As whom `avouch serve`, started by root, runs the authority: it owns database, PIN file
        /// and key files.
        authority: Option<UserName>;
        /// As whom it runs the gateway: this user reads the files that `[gateway]` names, and may
        /// take `gateway.sock`. An authority that is run apart admits this user, too.
        gateway: Option<UserName>;
    }
    /// The sockets between the processes.
    RawSockets {
        /// Their folder; process ids are there too. Made when it does not exist, for this user
        /// alone.
        dir: PathBuf = PathBuf::from("run");
    }
    /// How much is taken on at once. What is beyond is answered `overloaded` (503), with the time
    /// after which to come back.
    RawLimits {
        /// Requests that may wait in the authority to be decided.
        queue: Count<1, 1_000_000> = Count(ca::authority::Limits::default().queue);
        /// Requests that are recorded in one transaction.
        group: Count<1, 4096> = Count(ca::authority::Limits::default().group);
        /// Groups that may be signed and published at once.
        signing_groups: Count<1, 256> = Count(ca::authority::Limits::default().signing_groups);
        /// Greatest length of a request body, in bytes.
        body: Count<1024, 131_072> = Count(api::Limits::default().body);
        /// Connections at once, for each listener of the gateway. More wait in the kernel.
        connections: Count<1, 1_048_576> = Count(api::Limits::default().connections);
        /// Requests at once in the gateway.
        requests: Count<1, 1_048_576> = Count(api::Limits::default().requests);
        /// Requests a second of one address that shows no client certificate (of IPv6: of one /64
        /// network). More are answered with 429.
        anonymous_rate: Count<1, 1_000_000> = Count(api::Limits::default().anonymous_rate.per_second as usize);
        /// Requests that such an address may make at once after a rest.
        anonymous_burst: Count<1, 10_000_000> = Count(api::Limits::default().anonymous_rate.burst as usize);
        /// Requests a second of one TLS client certificate: an enrolment agent's, which speaks for
        /// all users of a server.
        agent_rate: Count<1, 1_000_000> = Count(api::Limits::default().agent_rate.per_second as usize);
        /// Requests that such a certificate may make at once after a rest.
        agent_burst: Count<1, 10_000_000> = Count(api::Limits::default().agent_rate.burst as usize);
        /// Time for a request, from its header to its answer. The authority works on none for
        /// longer than a minute.
        request_timeout: Span<{ S }, { 60 * S }> = Span(api::Limits::default().request);
    }
    /// Which keys are certified, beside the policy's rules.
    RawKeys {
        /// A file of keys that are known to be compromised: lines of 20 hexadecimal digits (Debian's
        /// `openssl-blacklist`) or of 64 (SHA-256 of a SubjectPublicKeyInfo). Read at the start.
        blocklist: Option<PathBuf>;
    }
    /// Lists of what is revoked (CRLs).
    RawCrl {
        /// For how long the lists of the issuing authority for switches hold. They are made while its
        /// token is open; while it is locked, what is revoked of its certificates shows to Avouch
        /// clients at once, and to everybody else when it is open again.
        switch_lifetime: Span<{ 3600 * S }, { 366 * 86_400 * S }> =
            Span(Duration::from_secs(31 * 86_400));
    }
    /// How people are told of what happens to their identity ([more](notices.md)). Without
    /// `smtp_server` no mail goes out, without `webhook_secret_file` no webhook is called; what
    /// would have been sent waits in the database until `give_up`.
    RawNotices {
        /// Host name of the mail server, which its certificate names too.
        smtp_server: Option<String>;
        /// Its port.
        smtp_port: Count<1, 65_535> = Count(587);
        /// Encryption of the way there. `none` is for a relay on this machine.
        smtp_tls: SmtpTls = SmtpTls::StartTls;
        /// The only CAs that the mail server may have its certificate from, PEM; the system's where
        /// it is not given.
        smtp_ca: Option<PathBuf>;
        /// User at the mail server, if it wants one.
        smtp_user: Option<String>;
        /// That user's password is in this file, which only this user of the machine can read. A
        /// line end after it is left out.
        smtp_password_file: Option<PathBuf>;
        /// The sender, such as `Avouch <avouch@example.org>`. Must be given with `smtp_server`.
        from: Option<String>;
        /// Where people turn to with questions; stands in every mail.
        help: Option<String>;
        /// Mail addresses of officers: they are told of switches, vetoes, suspensions and changes of
        /// the installation.
        officers: Vec<String>;
        /// The secret that signs webhooks is in this file, which only this user can read: `whsec_`
        /// and 24 to 64 random bytes in base64.
        webhook_secret_file: Option<PathBuf>;
        /// The only hosts whose webhooks are called.
        webhook_hosts: Vec<String>;
        /// The only CAs that these hosts may have their certificates from, PEM; the system's where
        /// it is not given.
        webhook_ca: Option<PathBuf>;
        /// Lets these hosts be on this machine or in a private network.
        webhook_private: bool = false;
        /// Time after the first try that failed; twice as long after each more, up to an hour.
        first_retry: Span<100, { 3600 * S }> = Span(ca::notices::NoticeSettings::default().first_retry);
        /// How long a notice is tried. Then it is given up, with an alarm.
        give_up: Span<{ 60 * S }, { 30 * 86_400 * S }> = Span(ca::notices::NoticeSettings::default().give_up);
    }
    /// A co-signer of the log ([more](failure-scenarios.md)), under a name of one's own. Who they
    /// are is part of the installation: `avouch init` takes them from here, and later on a change
    /// of the co-signers does. What stands here afterwards says where each of them is.
    RawPeer {
        /// What it checks: a `witness` that the log only grows, an `auditor` that every event is
        /// lawful, too.
        kind: CosignerKind;
        /// Its verifier key, as its operator gives it: `name+id+key`.
        vkey: String;
        /// Where it is asked: its submission prefix, which begins with https:// (http:// on this
        /// machine alone).
        url: String;
        /// The only CAs that it may have its TLS certificate from, PEM; the system's where it is
        /// not given.
        ca_file: Option<PathBuf>;
    }
    /// How co-signers are asked.
    RawCosigning {
        /// How long a certificate waits for the quorum before its caller is told to come back, and
        /// how long one answer of a co-signer may take.
        deadline: Span<{ S / 10 }, { 60 * S }> = Span(ca::cosign::CosigningSettings::default().deadline);
        /// After which time an idle log is co-signed again: at a quarter of the policy's
        /// `max_status_age` at the latest.
        refresh: Span<{ S }, { 86_400 * S }> = Span(ca::cosign::CosigningSettings::default().refresh);
        /// What the authority does when it starts and cannot hear from the quorum that its log is
        /// the newest: `stop`, or `run` all the same.
        when_unreachable: WhenUnreachable = WhenUnreachable::Stop;
    }
    /// Metrics for Prometheus, on listeners of their own: they tell how much goes on, so let
    /// nobody but the scraper reach them. Off unless an address is given.
    RawMetrics {
        /// Address and port of the authority's metrics.
        authority_listen: Option<Address>;
        /// Address and port of the gateway's metrics.
        gateway_listen: Option<Address>;
    }
    /// A co-signer's key, memory and server; what a witness and an auditor have in common.
    RawCosigner {
        /// Its private key, made by `init`. Only this user can read it.
        key: PathBuf = PathBuf::from("cosigner.key");
        /// The folder in which it remembers what it co-signed, made by `init`. It is never
        /// restored from a copy.
        state: PathBuf = PathBuf::from("state");
        /// Address and port.
        listen: Address;
        /// The path below which it is served: empty, or such as `/witness`, without a slash at the
        /// end.
        prefix: String = String::new();
        /// Its TLS certificate and those of its issuers, leaf first, PEM. Certificate and key are
        /// taken anew when the files have changed, within ten seconds, and on SIGHUP.
        tls_certificate: Option<PathBuf>;
        /// The certificate's private key, PEM.
        tls_key: Option<PathBuf>;
        /// Lets it serve plain HTTP at an address that is not this machine's own: something in
        /// front of it has the TLS certificate.
        behind_proxy: bool = false;
        /// Address and port of metrics for Prometheus. Off unless given.
        metrics_listen: Option<Address>;
        /// Connections at once. More wait in the kernel.
        connections: Count<1, 65_536> = Count(cosigner::ServerLimits::default().connections);
        /// Time for a request, from its header to its answer.
        request_timeout: Span<{ S }, { 600 * S }> = Span(cosigner::ServerLimits::default().request);
    }
    /// What a witness co-signs.
    RawWitness {
        /// Verifier keys of the logs that it serves, each under the log's origin. A log that has
        /// several keys has a list of them. `init` needs none, `run` needs one.
        logs: Logs;
    }
    /// What an auditor audits.
    RawAuditor {
        /// The installation's trust file: its genesis event and the key of its log. `init` needs
        /// none, `run` does.
        trust: PathBuf = PathBuf::from("trust.json");
        /// Where an alarm is told: an HTTP POST of JSON. It is tried until it is taken.
        alarm_webhook: Option<String>;
    }
    /// For tests and demonstrations alone. Each of these is shown by `avouch doctor`, in the
    /// installation's warnings and in its health.
    RawDevelopment {
        /// A file with a number of seconds, by which the authority's clock is ahead of the machine's:
        /// so a wait is over when somebody says so. With it waits protect nobody.
        test_clock: Option<PathBuf>;
    }
    /// Logs, on standard error. They hold no user id, no key and no PIN.
    RawLog {
        /// For people, or for programs: one JSON object on each line.
        format: LogFormat = LogFormat::Text;
        /// What is logged. `info` has one line for each request in the gateway and one for each
        /// decision in the authority.
        filter: LogFilter = LogFilter("info,cryptoki=off".to_owned());
    }
}

/// Sections in which nothing must be given have a value without a file.
macro_rules! optional {
    ($($section:ident)+) => {$(
        impl Default for $section {
            fn default() -> Self {
                match Self::read(&Table::new()) {
                    Ok(section) => section,
                    Err(Missing(key)) => unreachable!("{key} has a default, as a test shows"),
                }
            }
        }
    )+};
}

optional!(RawUsers RawSockets RawLimits RawKeys RawCrl RawNotices RawCosigning RawMetrics RawDevelopment RawLog);

/// The file as written, with its defaults.
#[derive(Debug, Clone)]
pub(crate) struct Raw {
    pub(crate) store: RawStore,
    pub(crate) hsm: RawHsm,
    pub(crate) root_hsm: Option<RawHsm>,
    pub(crate) second_hsm: Option<RawHsm>,
    pub(crate) third_hsm: Option<RawHsm>,
    pub(crate) switch_issuer: Option<RawHsm>,
    pub(crate) gateway: RawGateway,
    pub(crate) users: RawUsers,
    pub(crate) sockets: RawSockets,
    pub(crate) limits: RawLimits,
    pub(crate) keys: RawKeys,
    pub(crate) crl: RawCrl,
    pub(crate) notices: RawNotices,
    pub(crate) cosigners: BTreeMap<String, RawPeer>,
    pub(crate) cosigning: RawCosigning,
    pub(crate) metrics: RawMetrics,
    pub(crate) development: RawDevelopment,
    pub(crate) log: RawLog,
}

/// A section's values as they would be written.
type Written = Vec<(&'static str, Option<Value>)>;

impl Raw {
    /// Takes the values from a table that was checked.
    ///
    /// # Errors
    /// The section and the key that is missing.
    pub(crate) fn read(file: &Table) -> Result<Self, (&'static str, Missing)> {
        let none = Table::new();
        let table = |name: &str| file.get(name).and_then(Value::as_table).unwrap_or(&none);
        let at = |section: &'static str| move |missing: Missing| (section, missing);
        let optional = |name: &'static str| {
            let given = file.contains_key(name);
            given.then(|| RawHsm::read(table(name))).transpose().map_err(at(name))
        };
        Ok(Self {
            store: RawStore::read(table("store")).map_err(at("store"))?,
            hsm: RawHsm::read(table("hsm")).map_err(at("hsm"))?,
            root_hsm: optional("root_hsm")?,
            second_hsm: optional("second_hsm")?,
            third_hsm: optional("third_hsm")?,
            switch_issuer: optional("switch_issuer")?,
            gateway: RawGateway::read(table("gateway")).map_err(at("gateway"))?,
            users: RawUsers::read(table("users")).map_err(at("users"))?,
            sockets: RawSockets::read(table("sockets")).map_err(at("sockets"))?,
            limits: RawLimits::read(table("limits")).map_err(at("limits"))?,
            keys: RawKeys::read(table("keys")).map_err(at("keys"))?,
            crl: RawCrl::read(table("crl")).map_err(at("crl"))?,
            notices: RawNotices::read(table("notices")).map_err(at("notices"))?,
            cosigners: table("cosigners")
                .iter()
                .map(|(name, values)| {
                    let values = values.as_table().unwrap_or(&none);
                    Ok((name.clone(), RawPeer::read(values).map_err(at("cosigners"))?))
                })
                .collect::<Result<_, (&'static str, Missing)>>()?,
            cosigning: RawCosigning::read(table("cosigning")).map_err(at("cosigning"))?,
            metrics: RawMetrics::read(table("metrics")).map_err(at("metrics"))?,
            development: RawDevelopment::read(table("development")).map_err(at("development"))?,
            log: RawLog::read(table("log")).map_err(at("log"))?,
        })
    }

    /// Every section with its values.
    pub(crate) fn write(&self) -> Vec<(String, Written)> {
        let mut sections = vec![("store", self.store.write()), ("hsm", self.hsm.write())];
        for (name, hsm) in [
            ("root_hsm", &self.root_hsm),
            ("second_hsm", &self.second_hsm),
            ("third_hsm", &self.third_hsm),
            ("switch_issuer", &self.switch_issuer),
        ] {
            sections.extend(hsm.as_ref().map(|hsm| (name, hsm.write())));
        }
        let cosigners = self.cosigners.iter();
        let cosigners =
            cosigners.map(|(name, values)| (format!("cosigners.{name}"), values.write()));
        sections.extend([
            ("gateway", self.gateway.write()),
            ("users", self.users.write()),
            ("sockets", self.sockets.write()),
            ("limits", self.limits.write()),
            ("keys", self.keys.write()),
            ("crl", self.crl.write()),
            ("notices", self.notices.write()),
            ("cosigning", self.cosigning.write()),
            ("metrics", self.metrics.write()),
            ("development", self.development.write()),
            ("log", self.log.write()),
        ]);
        let sections = sections.into_iter().map(|(name, values)| (name.to_owned(), values));
        sections.chain(cosigners).collect()
    }

    /// As TOML, without what is the default anyway.
    pub(crate) fn to_toml(&self) -> String {
        self.to_toml_of(|_| true)
    }

    /// The sections that are `taken`, as [`Self::to_toml`].
    pub(crate) fn to_toml_of(&self, taken: impl Fn(&str) -> bool) -> String {
        let described = sections();
        let mut text = String::new();
        for (name, values) in self.write().into_iter().filter(|(name, _)| taken(name)) {
            let kind = name.split('.').next().unwrap_or_default();
            let defaults = described.iter().find(|section| section.name == kind);
            let default = |key: &str| {
                let keys = defaults.map(|section| &section.keys[..]).unwrap_or_default();
                keys.iter().find(|k| k.name == key).and_then(|k| k.default.clone())
            };
            let changed = values
                .into_iter()
                .filter_map(|(key, value)| Some((key, value?)))
                .filter(|(key, value)| default(key).as_ref() != Some(value));
            let lines: String = changed.map(|(key, value)| format!("{key} = {value}\n")).collect();
            if !lines.is_empty() {
                text.push_str(&format!(
                    "{}[{name}]\n{lines}",
                    if text.is_empty() { "" } else { "\n" }
                ));
            }
        }
        text
    }
}

/// Every section, in order.
pub(crate) fn sections() -> Vec<Section> {
    vec![
        RawStore::describe("store", true),
        RawHsm::describe("hsm", true),
        Section {
            doc: &[
                " What holds the root key, when it is not `[hsm]`: its own token, which is needed by",
                " `avouch init` alone. The keys are those of `[hsm]`.",
            ],
            ..RawHsm::describe("root_hsm", false)
        },
        Section {
            doc: &[
                " Another token with the same keys as `[hsm]`: a clone, or another door to the same",
                " device. All are used, by load, and any may go away. The keys are those of `[hsm]`.",
            ],
            ..RawHsm::describe("second_hsm", false)
        },
        Section { doc: &[" One more, as `[second_hsm]`."], ..RawHsm::describe("third_hsm", false) },
        Section {
            doc: &[
                " What holds the key that signs switches, where they have an issuing authority of their",
                " own: with it here, `avouch init` makes one. A token of its own, with a PIN of its own.",
                " With `pin_unlock` it stays locked until `avouch unlock switch_issuer`, while all else",
                " goes on. The keys are those of `[hsm]`.",
            ],
            ..RawHsm::describe("switch_issuer", false)
        },
        RawGateway::describe("gateway", true),
        RawUsers::describe("users", false),
        RawSockets::describe("sockets", false),
        RawLimits::describe("limits", false),
        RawKeys::describe("keys", false),
        RawCrl::describe("crl", false),
        RawNotices::describe("notices", false),
        Section { named: true, ..RawPeer::describe("cosigners", false) },
        RawCosigning::describe("cosigning", false),
        RawMetrics::describe("metrics", false),
        RawDevelopment::describe("development", false),
        RawLog::describe("log", false),
    ]
}

/// Every section of a gateway's file: of the authority's, those of a gateway must be there.
pub(crate) fn gateway_sections() -> Vec<Section> {
    let described = sections().into_iter();
    described.map(|s| Section { required: s.name == "gateway", ..s }).collect()
}

/// Every section of an auditor's file, in order.
pub(crate) fn auditor_sections() -> Vec<Section> {
    vec![
        RawCosigner::describe("cosigner", true),
        RawAuditor::describe("auditor", false),
        RawDevelopment::describe("development", false),
        RawLog::describe("log", false),
    ]
}

/// Every section of a witness's file, in order.
pub(crate) fn witness_sections() -> Vec<Section> {
    vec![
        RawCosigner::describe("cosigner", true),
        RawWitness::describe("witness", false),
        RawDevelopment::describe("development", false),
        RawLog::describe("log", false),
    ]
}
