//! Who this node is to a registry. Never printed, never logged.

use std::{fs, path::PathBuf};

use lusk_contract::ImageError;
use oci_client::secrets::RegistryAuth;
use serde_json::Value;

use super::{RegistryAddress, Role};

/// Where variables are looked up: the process's environment, or a test's.
pub(crate) type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The credentials for a registry: from variables of its role, else from the
/// Docker configuration file, else none.
pub(crate) fn find(
    address: &RegistryAddress,
    role: Role,
    variables: Variables<'_>,
) -> Result<RegistryAuth, ImageError> {
    let (user, password) = match role {
        Role::Workspace => ("LUSK_REGISTRY_USERNAME", "LUSK_REGISTRY_PASSWORD"),
        Role::Global => (
            "LUSK_GLOBAL_REGISTRY_USERNAME",
            "LUSK_GLOBAL_REGISTRY_PASSWORD",
        ),
    };
    let said = |name: &str| variables(name).filter(|value| !value.is_empty());
    match (said(user), said(password)) {
        (Some(user), Some(password)) => Ok(RegistryAuth::Basic(user, password)),
        (None, None) => Ok(from_docker(address, variables)),
        (Some(_), None) => Err(half(address, user, password)),
        (None, Some(_)) => Err(half(address, password, user)),
    }
}

fn half(address: &RegistryAddress, given: &str, missing: &str) -> ImageError {
    ImageError::Registry {
        registry: address.to_string(),
        message: format!("{given} is set without {missing}; set both or none"),
    }
}

/// What `docker login` has left. A file that cannot be read counts as none:
/// the registry itself says whether it asks for more.
fn from_docker(address: &RegistryAddress, variables: Variables<'_>) -> RegistryAuth {
    let folder = variables("DOCKER_CONFIG").map(PathBuf::from);
    let folder =
        folder.or_else(|| variables("HOME").map(|home| PathBuf::from(home).join(".docker")));
    let Some(path) = folder.map(|folder| folder.join("config.json")) else {
        return RegistryAuth::Anonymous;
    };
    let Ok(text) = fs::read(&path) else {
        return RegistryAuth::Anonymous;
    };
    let found = serde_json::from_slice::<Value>(&text)
        .ok()
        .and_then(|config| entry(&config, address.host()));
    found.unwrap_or(RegistryAuth::Anonymous)
}

fn entry(config: &Value, host: &str) -> Option<RegistryAuth> {
    let auths = config.get("auths")?.as_object()?;
    let is_it = |name: &str| {
        let name = name.split_once("://").map_or(name, |(_, rest)| rest);
        name.split('/').next() == Some(host)
    };
    // The plain name is the better match than one with a path.
    let found = auths.get(host).or_else(|| {
        let mut named = auths.iter().filter(|(name, _)| is_it(name));
        named.next().map(|(_, entry)| entry)
    })?;
    let text = |name: &str| found.get(name)?.as_str().filter(|text| !text.is_empty());
    if let Some(token) = text("registrytoken") {
        return Some(RegistryAuth::Bearer(token.to_owned()));
    }
    if let Some(auth) = text("auth") {
        let pair = String::from_utf8(base64(auth)?).ok()?;
        let (user, password) = pair.split_once(':')?;
        return Some(RegistryAuth::Basic(user.to_owned(), password.to_owned()));
    }
    let (user, password) = (text("username")?, text("password")?);
    Some(RegistryAuth::Basic(user.to_owned(), password.to_owned()))
}

/// Decodes base64 of the standard alphabet.
fn base64(text: &str) -> Option<Vec<u8>> {
    let (mut bits, mut count) = (0_u32, 0);
    let mut bytes = Vec::new();
    for digit in text.trim_end_matches(['=', '\n', '\r']).bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn basic(user: &str, password: &str) -> RegistryAuth {
        RegistryAuth::Basic(user.to_owned(), password.to_owned())
    }

    #[test]
    fn base64_is_decoded() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("YQ==", b"a"),
            ("bWU6c2VjcmV0", b"me:secret"),
            ("/+8=", &[0xff, 0xef]),
        ] {
            assert_eq!(base64(text).unwrap(), bytes, "{text}");
        }
        assert_eq!(base64("a b"), None);
    }

    #[test]
    fn variables_come_before_the_docker_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let config = json!({"auths": {
            "r.example": {"auth": "bWU6c2VjcmV0"},
            "https://old.example/v1/": {"username": "you", "password": "p"},
            "t.example": {"registrytoken": "abc"},
            "bad.example": {"auth": "???"},
        }});
        fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let docker = folder.path().to_str().unwrap().to_owned();
        let find = |host: &str, role, set: &[(&str, &str)]| {
            let variables = |name: &str| {
                let is_it = |(other, _): &&(&str, &str)| *other == name;
                let found = set.iter().find(is_it).map(|(_, value)| (*value).to_owned());
                found.or_else(|| (name == "DOCKER_CONFIG").then(|| docker.clone()))
            };
            find(&host.parse().unwrap(), role, &variables)
        };
        let set = [
            ("LUSK_REGISTRY_USERNAME", "w"),
            ("LUSK_REGISTRY_PASSWORD", "x"),
        ];
        let found = find("r.example", Role::Workspace, &set).unwrap();
        assert!(found == basic("w", "x"));
        let found = find("r.example", Role::Global, &set).unwrap();
        assert!(found == basic("me", "secret"));
        let found = find("old.example/team", Role::Workspace, &[]).unwrap();
        assert!(found == basic("you", "p"));
        let found = find("t.example", Role::Workspace, &[]).unwrap();
        assert!(found == RegistryAuth::Bearer("abc".to_owned()));
        for host in ["bad.example", "other.example"] {
            let found = find(host, Role::Workspace, &[]).unwrap();
            assert!(found == RegistryAuth::Anonymous);
        }
        let refused = find("r.example", Role::Workspace, &set[..1]).unwrap_err();
        assert!(refused.to_string().contains("LUSK_REGISTRY_PASSWORD"));
    }
}
