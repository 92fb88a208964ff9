//! A real S3 server, SeaweedFS, that a test binary starts once and that ends with it, however it ends.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::watched::{Watched, random};
use crate::{root, skipped};

/// The bucket that the server has from the start.
pub const BUCKET: &str = "reddino";
/// The version that `scripts/setup-s3.sh` installs.
const VERSION: &str = "4.48";

/// A running S3 server and its only key.
#[derive(Debug)]
pub struct S3Server {
    _process: Watched,
    port: u16,
    key_id: String,
    secret: String,
}

impl S3Server {
    /// The server of this test binary, started by the first who asks. `None`, and a word, where SeaweedFS is not installed.
    ///
    /// # Panics
    /// It does not start, or `REDDINO_REQUIRE` names `s3` and it is not installed.
    pub fn shared(test: &str) -> Option<&'static Self> {
        static SERVER: OnceLock<Option<S3Server>> = OnceLock::new();
        let server = SERVER.get_or_init(|| weed().map(|weed| Self::start(&weed))).as_ref();
        if server.is_none() {
            skipped(test, "s3", "an S3 server, and SeaweedFS's weed is not there: run scripts/setup-s3.sh");
        }
        server
    }

    /// The address of its S3 interface.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The id of its only key.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The secret of its only key.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The environment of a program that reaches the server at `address`, which may be that of a proxy.
    pub fn env(&self, address: SocketAddr) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT", format!("http://{address}")),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("AWS_ACCESS_KEY_ID", self.key_id.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.secret.clone()),
        ]
    }

    /// A small text in the bucket, read past S3 and its keys.
    pub fn text(&self, key: &str) -> Option<String> {
        let filer = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port - 1));
        let answer = ask(filer, &format!("GET /buckets/{BUCKET}/{key}"), "")?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.contains(" 200 ").then(|| body.to_owned())
    }

    fn start(weed: &Path) -> Self {
        // Another process may take a port between the look and the start: then the server ends, and others are tried.
        for _ in 0..4 {
            if let Some(server) = Self::try_start(weed) {
                return server;
            }
        }
        panic!("{} does not start on any of four sets of ports", weed.display());
    }

    fn try_start(weed: &Path) -> Option<Self> {
        let folder = Watched::folder("s3");
        let (key_id, secret) = (format!("ID{}", random()), format!("SECRET{}{}", random(), random()));
        let keys = serde_json::json!({"identities": [{
            "name": "test",
            "credentials": [{"accessKey": key_id, "secretKey": secret}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }]});
        let config = folder.join("s3.json");
        std::fs::write(&config, keys.to_string()).expect("the keys are written");
        std::fs::create_dir(folder.join("data")).expect("a data folder");
        let port = free_ports();
        let option = |name: &str, value: &dyn std::fmt::Display| format!("-{name}={value}");
        let mut command = Command::new(weed);
        command
            .arg("server")
            .args([option("ip", &"127.0.0.1"), option("ip.bind", &"127.0.0.1")])
            .arg(option("dir", &folder.join("data").display()))
            .args([option("master.port", &port), option("volume.port", &(port + 1))])
            .args([option("filer.port", &(port + 2)), option("s3.port", &(port + 3))])
            .arg(option("s3.config", &config.display()))
            .args(["-filer", "-s3", "-s3.port.iceberg=0", "-master.telemetry=false"])
            .args(["-master.volumeSizeLimitMB=64", "-volume.max=0"]);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port + 3));
        let filer = SocketAddr::from((Ipv4Addr::LOCALHOST, port + 2));
        // A bucket is a folder of the filer. A file beside it proves that master and volume answer, the look at S3 the rest.
        let ready = || {
            created(filer, "/buckets/ready.txt", "ready")
                && created(filer, &format!("/buckets/{BUCKET}/"), "")
                && ask(address, "GET /healthz", "").is_some_and(|answer| answer.contains(" 200 "))
        };
        let process = Watched::start(folder, &command, ready)?;
        Some(Self { _process: process, port: port + 3, key_id, secret })
    }
}

/// `WEED`, or the one that the script installs, or one on the `PATH`.
fn weed() -> Option<PathBuf> {
    let named = std::env::var_os("WEED").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("weed"));
    let installed = root().join(format!(".tools/seaweedfs-{VERSION}/weed"));
    named.into_iter().chain([installed]).chain(on_path).find(|weed| weed.is_file())
}

/// The first of four ports that are free, and so are those 10000 above them, which the server takes too.
fn free_ports() -> u16 {
    let free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let start = (RandomState::new().build_hasher().finish() % 2000) as u16;
    let mut bases = (0..2000).map(|n| 12000 + (start + n) % 2000 * 4);
    let found = bases.find(|&base| (base..base + 4).all(|port| free(port) && free(port + 10000)));
    found.expect("eight free ports")
}

fn created(filer: SocketAddr, path: &str, content: &str) -> bool {
    ask(filer, &format!("PUT {path}"), content)
        .is_some_and(|answer| answer.contains(" 201 ") || answer.contains(" 200 "))
}

/// The answer to a plain request, if there is one.
fn ask(address: SocketAddr, line: &str, body: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let length = body.len();
    write!(stream, "{line} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")
        .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}
