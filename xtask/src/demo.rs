//! The story of the README, told with a real server and with other people's programs.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::run::{cargo, failed, output, root, say};
use crate::{manifest, setup};

/// Stands in a folder that this program made and may therefore remove.
const MARK: &str = "made-by-make-demo";

/// Tells it. Everything that is made stays in `./demo`, until the next time.
pub(crate) fn demo() -> Result<(), String> {
    setup::setup()?;
    say("building avouch");
    output(cargo().args(["build", "--locked", "--quiet", "--package", "avouch-cli"]))?;
    let avouch = manifest::workspace()?.target.join("debug").join("avouch");
    let story = Story { folder: fresh_folder()?, avouch };

    say("1. A token, a root and an issuing CA in it, and a server");
    let server = story.start("127.0.0.1:0")?;
    story.enrolment(&server)?;
    story.share()?;
    story.impostor(&server)?;
    let server = story.crash(server)?;
    story.switch()?;
    story.goes_on()?;
    drop(server);
    println!("\nThat is all. Look around in {}", story.folder.display());
    Ok(())
}

fn fresh_folder() -> Result<PathBuf, String> {
    let folder = root().join("demo");
    let told = |e: std::io::Error| format!("{}: {e}", folder.display());
    if folder.join(MARK).exists() {
        std::fs::remove_dir_all(&folder).map_err(told)?;
    } else if folder.exists() {
        return Err(format!("{} exists and is not of this program's making", folder.display()));
    }
    std::fs::create_dir(&folder).map_err(told)?;
    std::fs::write(folder.join(MARK), "").map_err(told)?;
    Ok(folder)
}

/// Seconds by which the demonstration's clock is ahead.
const CLOCK: &str = "clock";

struct Story {
    folder: PathBuf,
    avouch: PathBuf,
}

/// A running server; taken down when dropped.
struct Server {
    child: Child,
    url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        }
        let _ = self.child.wait();
    }
}

impl Story {
    fn enrolment(&self, server: &Server) -> Result<(), String> {
        say("2. Alice and Bob make keys and requests with openssl, and an agent enrols them");
        let p256 = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
        self.request("alice", "alice", &p256)?;
        self.request("bob", "bob", &["rsa:2048"])?;
        for person in ["alice", "bob"] {
            let (csr, pem) = (format!("@{person}.csr"), format!("{person}.pem"));
            let send = ["--fail-with-body", "--data-binary", &csr, "--output", &pem];
            self.curl(server, person, &send)?;
        }
        say("3. OpenSSL agrees with the certificates");
        let trust = ["-CAfile", "ca/root.pem", "-untrusted", "ca/chain.pem"];
        let verify = ["verify", "-x509_strict"];
        self.run("openssl", &[&verify[..], &trust, &["alice.pem", "bob.pem"]].concat())?;
        Ok(())
    }

    fn share(&self) -> Result<(), String> {
        say("4. Bob verifies that it is Alice's key, and seals a letter to her and himself");
        let letter = "Dear Alice,\nnobody else reads this.\nBob\n";
        self.write("letter.txt", letter)?;
        let trust = ["--trust", "ca/trust.json", "--contacts", "bob-contacts.json"];
        self.run("avouch", &[&["verify", "identity", "alice"][..], &trust].concat())?;
        let seal = ["seal", "--in", "letter.txt", "--out", "letter.sealed", "--to", "alice", "bob"];
        self.run("avouch", &[&seal[..], &trust].concat())?;
        println!("\nBoth open it with what they have: Alice with openssl, Bob with avouch.");
        let cms = ["cms", "-decrypt", "-binary", "-inform", "DER", "-in", "letter.sealed"];
        let key = ["-inkey", "alice.key", "-recip", "alice.pem", "-out", "letter.alice"];
        self.run("openssl", &[&cms[..], &key].concat())?;
        let open = ["open", "--key", "bob.key", "--in", "letter.sealed", "--out", "letter.bob"];
        self.run("avouch", &open)?;
        for copy in ["letter.alice", "letter.bob"] {
            if self.read(copy)? != letter {
                return Err(format!("{copy} is not the letter"));
            }
        }
        Ok(())
    }

    fn impostor(&self, server: &Server) -> Result<(), String> {
        say("5. Mallory has the agent's credentials, and a key that shall become Alice's");
        self.request("mallory", "alice", &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"])?;
        let send = ["--data-binary", "@mallory.csr", "--write-out", "\nHTTP %{http_code}\n"];
        let answer = self.curl(server, "alice", &send)?;
        if !answer.contains("identity-change-required") || !answer.contains("HTTP 409") {
            return Err("Mallory was not refused as he should be".to_owned());
        }
        println!("\nThe attempt is in Alice's history:");
        let history = self.run("avouch", &["history", "alice", "--trust", "ca/trust.json"])?;
        if !history.contains("identity-change-required") {
            return Err("the history does not tell of the refusal".to_owned());
        }
        Ok(())
    }

    /// Kills everything with -9, starts again, and looks whether all is there.
    fn crash(&self, mut server: Server) -> Result<Server, String> {
        say("6. Everything is killed with -9, in the middle of the day");
        let before = self.identity(&server)?;
        let mut pids = vec![server.child.id().to_string()];
        for name in ["authority", "gateway", "hsm-worker"] {
            pids.push(self.read(&format!("ca/run/{name}.pid"))?.trim().to_owned());
        }
        let mut kill = vec!["-9"];
        kill.extend(pids.iter().map(String::as_str));
        self.run("kill", &kill)?;
        server.child.wait().map_err(|e| format!("the server: {e}"))?;
        let listen = server.url.trim_start_matches("https://").to_owned();
        drop(server);
        println!("\nThe same command again goes on with what is there.");
        let server = self.start(&listen)?;
        if self.identity(&server)? != before {
            return Err("Alice's identity is not what it was".to_owned());
        }
        self.request("carol", "carol", &["ec", "-pkeyopt", "ec_paramgen_curve:P-384"])?;
        let send = ["--fail-with-body", "--data-binary", "@carol.csr", "--output", "carol.pem"];
        self.curl(&server, "carol", &send)?;
        let trust = ["verify", "-x509_strict", "-CAfile", "ca/root.pem", "-untrusted"];
        self.run("openssl", &[&trust[..], &["ca/chain.pem", "alice.pem", "carol.pem"]].concat())?;
        Ok(server)
    }

    /// Alice's key is lost. Two of three officers approve a switch, Mallory cannot, and the wait
    /// passes by the clock of the demonstration.
    fn switch(&self) -> Result<(), String> {
        let trust = ["--trust", "ca/trust.json"];
        say("7. Alice's phone falls into the lake. She makes a new key and asks for a switch");
        self.run("avouch", &["key", "new", "--out", "alice-new.key"])?;
        let ask = ["switch", "request", "alice", "--new-key", "alice-new.key"];
        let reason = ["--reason", "the phone fell into the lake"];
        self.run("avouch", &[&ask[..], &reason, &trust].concat())?;
        println!("\nMallory, who holds the gateway, has no officer's key. His own does not count:");
        let approve = |key: &'static str, how: &'static str| {
            ["approve", "alice", "--key", key, "--remark", how, "--yes", "--trust", "ca/trust.json"]
        };
        self.ends_with(20, &approve("mallory.key", "it is me"))?;
        println!("\nTwo of three officers have met her.");
        self.run("avouch", &approve("ca/officer-1.key", "met at the office, passport"))?;
        self.run("avouch", &approve("ca/officer-2.key", "known for years"))?;
        let status = [&["switch", "status", "alice"][..], &trust].concat();
        self.ends_with(21, &status)?;
        say("8. Three days pass, by a clock that is marked as a test's, and nobody objects");
        self.write(CLOCK, &(73 * 3600).to_string())?;
        for _ in 0..300 {
            let (code, said) = self.ask(&status)?;
            if code == Some(0) {
                println!("\n$ avouch {}\n{said}", shown(&status));
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        Err("the switch did not take effect".to_owned())
    }

    /// Bob's client stops once and tells him why; then he goes on.
    fn goes_on(&self) -> Result<(), String> {
        say("9. Bob's client stops once, and goes on when he has said that he knows");
        let trust = ["--trust", "ca/trust.json", "--contacts", "bob-contacts.json"];
        let seal = ["seal", "--in", "letter.txt", "--out", "again.sealed", "--to", "alice"];
        let seal = [&seal[..], &trust].concat();
        self.ends_with(14, &seal)?;
        self.run("avouch", &[&["contact", "acknowledge", "alice"][..], &trust].concat())?;
        self.run("avouch", &seal)?;
        let open =
            ["open", "--key", "alice-new.key", "--in", "again.sealed", "--out", "again.alice"];
        self.run("avouch", &open)?;
        if self.read("again.alice")? == self.read("letter.txt")? {
            Ok(())
        } else {
            Err("again.alice is not the letter".to_owned())
        }
    }

    /// Shows a command of avouch that has to end with this exit code, and what it said.
    fn ends_with(&self, expected: i32, arguments: &[&str]) -> Result<(), String> {
        let (code, said) = self.ask(arguments)?;
        println!("\n$ avouch {}\n{said}(exit code {expected})", shown(arguments));
        if code == Some(expected) {
            Ok(())
        } else {
            Err(format!("it ended with {code:?} instead of {expected}"))
        }
    }

    /// Runs avouch; its exit code, and all that it said.
    fn ask(&self, arguments: &[&str]) -> Result<(Option<i32>, String), String> {
        let mut command = self.command(&self.avouch, arguments);
        let Output { status, stdout, stderr } =
            command.output().map_err(|e| failed(&command, &e))?;
        Ok((status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned()))
    }

    fn start(&self, listen: &str) -> Result<Server, String> {
        let arguments = ["dev", "--data", "ca", "--listen", listen, "--test-clock", CLOCK];
        println!("\n$ avouch {} &", arguments.join(" "));
        let log = File::options().create(true).append(true).open(self.folder.join("server.log"));
        let log = log.map_err(|e| format!("server.log: {e}"))?;
        let mut command = Command::new(&self.avouch);
        command.args(arguments).current_dir(&self.folder).stdin(Stdio::null());
        let mut child =
            command.stdout(Stdio::piped()).stderr(log).spawn().map_err(|e| failed(&command, &e))?;
        let stdout = child.stdout.take().ok_or("the server has no standard output")?;
        let mut server = Server { child, url: String::new() };
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            println!("{line}");
            if let Some(url) = line.strip_prefix("ready ") {
                url.clone_into(&mut server.url);
                return Ok(server);
            }
        }
        let log = self.read("server.log")?;
        Err(format!("the server did not become ready:\n{log}"))
    }

    fn request(&self, file: &str, name: &str, key: &[&str]) -> Result<(), String> {
        let (key_file, csr, subject) =
            (format!("{file}.key"), format!("{file}.csr"), format!("/CN={name}"));
        let make = ["-noenc", "-keyout", &key_file, "-subj", &subject, "-out", &csr];
        self.run("openssl", &[&["req", "-new", "-newkey"][..], key, &make].concat()).map(drop)
    }

    fn curl(&self, server: &Server, person: &str, more: &[&str]) -> Result<String, String> {
        let url = format!("{}/api/v1/identities/{person}/certificates", server.url);
        let agent =
            ["--cacert", "ca/tls-ca.pem", "--cert", "ca/agent.pem", "--key", "ca/agent.key"];
        let content = ["--header", "Content-Type: application/pkcs10"];
        let accept = ["--header", "Accept: application/pem-certificate-chain"];
        self.run("curl", &[&["-sS"][..], &agent, &content, &accept, more, &[&url]].concat())
    }

    fn identity(&self, server: &Server) -> Result<String, String> {
        let url = format!("{}/api/v1/identities/alice", server.url);
        self.run("curl", &["-sS", "--fail-with-body", "--cacert", "ca/tls-ca.pem", &url])
    }

    /// Shows a command, runs it in the folder, shows what it said; it must succeed.
    fn run(&self, program: &str, arguments: &[&str]) -> Result<String, String> {
        println!("\n$ {program} {}", shown(arguments));
        let path = if program == "avouch" { self.avouch.as_path() } else { Path::new(program) };
        let mut command = self.command(path, arguments);
        let Output { status, stdout, stderr } =
            command.output().map_err(|e| failed(&command, &e))?;
        let said = String::from_utf8_lossy(&stdout).into_owned();
        print!("{said}");
        // openssl draws its progress there.
        if program != "openssl" || !status.success() {
            eprint!("{}", String::from_utf8_lossy(&stderr));
        }
        if status.success() { Ok(said) } else { Err(failed(&command, &status)) }
    }

    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.folder).stdin(Stdio::null());
        command.env("AVOUCH_TEST_CLOCK", CLOCK).env("AVOUCH_OWN", "own.json");
        // The server is on this machine, whatever proxy there is.
        command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
        command
    }

    fn read(&self, name: &str) -> Result<String, String> {
        std::fs::read_to_string(self.folder.join(name)).map_err(|e| format!("demo/{name}: {e}"))
    }

    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        std::fs::write(self.folder.join(name), text).map_err(|e| format!("demo/{name}: {e}"))
    }
}

/// Arguments as a shell would want them.
fn shown(arguments: &[&str]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+".contains(c);
    let quoted = arguments.iter().map(|argument| {
        if !argument.is_empty() && argument.chars().all(plain) {
            (*argument).to_owned()
        } else {
            format!("'{}'", argument.replace('\n', "\\n").replace('\'', "'\\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}
