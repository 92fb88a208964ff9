//! Microsoft's own server for tests of Azure Blob Storage, Azurite, started once by a test binary.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::watched::{Watched, random};
use crate::{root, skipped};

/// The container that the server has from the start.
pub const CONTAINER: &str = "reddino";
/// The version that `scripts/setup-azure.sh` installs.
const VERSION: &str = "3.37.0";
/// The name of its only account.
const ACCOUNT: &str = "tester";
/// Creates a container, which a store does not: one signed request. Fails until the server answers.
const CREATE: &str = r#"
const [port, account, key, container] = process.argv.slice(1);
const date = new Date().toUTCString();
const path = `/${account}/${container}`;
const signed = ["PUT", "", "", "", "", "", "", "", "", "", "", "",
  `x-ms-date:${date}`, "x-ms-version:2021-08-06", `/${account}${path}`, "restype:container"].join("\n");
const sign = require("crypto").createHmac("sha256", Buffer.from(key, "base64")).update(signed, "utf8").digest("base64");
const headers = {"x-ms-date": date, "x-ms-version": "2021-08-06", "content-length": 0, authorization: `SharedKey ${account}:${sign}`};
const request = require("http").request({host: "127.0.0.1", port, path: `${path}?restype=container`, method: "PUT", headers},
  answer => process.exit(answer.statusCode === 201 || answer.statusCode === 409 ? 0 : 1));
request.on("error", () => process.exit(1));
request.end();
"#;

/// A running Azure server with one account.
#[derive(Debug)]
pub struct AzureServer {
    _process: Watched,
    port: u16,
    key: String,
}

impl AzureServer {
    /// The server of this test binary, started by the first who asks. `None`, and a word, where Azurite is not installed.
    ///
    /// # Panics
    /// It does not start, or `REDDINO_REQUIRE` names `azure` and it is not installed.
    pub fn shared(test: &str) -> Option<&'static Self> {
        static SERVER: OnceLock<Option<AzureServer>> = OnceLock::new();
        let server = SERVER.get_or_init(|| azurite().map(|azurite| Self::start(&azurite))).as_ref();
        if server.is_none() {
            skipped(test, "azure", "an Azure server, and Azurite is not there: run scripts/setup-azure.sh");
        }
        server
    }

    /// The address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The key of its only account, in base64.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The environment of a program that reaches the server at `address`, which may be that of a proxy.
    pub fn env(&self, address: SocketAddr) -> Vec<(&'static str, String)> {
        vec![
            ("AZURE_STORAGE_ENDPOINT", format!("http://{address}/{ACCOUNT}")),
            ("AZURE_ALLOW_HTTP", "true".to_owned()),
            ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT.to_owned()),
            ("AZURE_STORAGE_ACCOUNT_KEY", self.key.clone()),
        ]
    }

    fn start(azurite: &Path) -> Self {
        // Another process may take the port between the look and the start: then another is tried.
        let started = (0..4).find_map(|_| Self::try_start(azurite));
        started.unwrap_or_else(|| panic!("{} does not start on any of four ports", azurite.display()))
    }

    fn try_start(azurite: &Path) -> Option<Self> {
        let folder = Watched::folder("azure");
        // 48 characters are base64 of 36 bytes.
        let key = format!("{}{}{}", random(), random(), random());
        let port =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr()).expect("a port").port();
        let mut command = Command::new("node");
        command
            .arg(azurite)
            .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string(), "--location"])
            .arg(&folder)
            .args(["--silent", "--skipApiVersionCheck", "--disableTelemetry"])
            .env("AZURITE_ACCOUNTS", format!("{ACCOUNT}:{key}"));
        let ready = || {
            let mut create = Command::new("node");
            create.args(["-e", CREATE, &port.to_string(), ACCOUNT, &key, CONTAINER]);
            create.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        let process = Watched::start(folder, &command, ready)?;
        Some(Self { _process: process, port, key })
    }
}

/// The program that the script installs.
fn azurite() -> Option<PathBuf> {
    let package = root().join(format!(".tools/azurite-{VERSION}/node_modules/azurite"));
    Some(package.join("dist/src/blob/main.js")).filter(|program| program.is_file())
}
