//! Debian's `docker-registry` on a free port of loopback, and `skopeo`, a
//! client that shares no code with lusk.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    thread,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::lusk::test_folder;

/// User and password of a registry that asks for them.
pub const USER: (&str, &str) = ("teammate", "a well-known password");

/// [`USER`] as a line of an Apache password file.
const PASSWORD_FILE: &str =
    "teammate:$2b$05$/WoCTgM5zZ4f69O6JrF2wuKhc/2qe1OMtr2PGLfa9lZj4MymqvPAS\n";

/// A running registry. Killed on drop.
pub struct Registry {
    process: Child,
    _folder: TempDir,
    /// `127.0.0.1:<port>`.
    pub address: String,
}

impl Registry {
    /// An open registry.
    pub fn start(name: &str) -> Self {
        Self::start_with(name, "")
    }

    /// A registry for [`USER`] alone.
    pub fn start_locked(name: &str) -> Self {
        Self::start_with(
            name,
            "auth: {htpasswd: {realm: test, path: FOLDER/passwords}}\n",
        )
    }

    fn start_with(name: &str, more: &str) -> Self {
        let folder = test_folder(name);
        let place = folder.path().to_str().expect("a path");
        fs::write(folder.path().join("passwords"), PASSWORD_FILE).expect("a file");
        let config = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: FOLDER/content}}}}\nhttp: {{addr: \"127.0.0.1:0\"}}\n{more}"
        );
        let file = folder.path().join("config.yml");
        fs::write(&file, config.replace("FOLDER", place)).expect("a file");
        let mut process = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("docker-registry, a Debian package that tests/run installs");
        let mut lines = BufReader::new(process.stderr.take().expect("stderr")).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                let (_, rest) = line.split_once("listening on ")?;
                Some(rest.split(['"', ',']).next()?.to_owned())
            })
            .expect("the registry says where it listens");
        // Nobody reads on, and a full pipe would stop it.
        thread::spawn(move || lines.for_each(drop));
        Self {
            process,
            _folder: folder,
            address,
        }
    }

    /// What `lusk up --registry` takes.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What `skopeo inspect` says of an image.
    pub fn inspect(&self, image: &str) -> Value {
        let output = Command::new("skopeo")
            .args(["inspect", "--tls-verify=false"])
            .arg(format!("docker://{}/{image}", self.address))
            .output()
            .expect("skopeo, a Debian package that tests/run installs");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{complaint}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// Lets `skopeo` copy an image into a folder: every digest is checked on the way.
    pub fn copy(&self, image: &str) -> TempDir {
        let folder = test_folder("skopeo");
        let output = Command::new("skopeo")
            .args(["copy", "--src-tls-verify=false"])
            .arg(format!("docker://{}/{image}", self.address))
            .arg(format!("oci:{}", folder.path().join("copy").display()))
            .output()
            .expect("skopeo");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{complaint}");
        folder
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
