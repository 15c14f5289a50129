//! Paths of the scoring doors.

use http::Method;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    /// Whether the router itself is up.
    RouterHealth,
    /// Something of a service.
    Service {
        /// Its name as written; looked up, not checked.
        name: &'a str,
        /// The path before the last part, without a slash at its end; empty on a
        /// local door.
        prefix: &'a str,
        /// What of it.
        resource: Resource,
    },
    /// Something of one version of an endpoint.
    Version {
        /// The endpoint's name as written.
        endpoint: &'a str,
        /// The version's name as written.
        version: &'a str,
        /// As for a service.
        prefix: &'a str,
        /// What of it.
        resource: Resource,
    },
}

/// What a service has to offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    /// Run the script.
    Score,
    /// The description of its input and output.
    Swagger,
    /// Whether a replica is ready.
    Health,
}

impl Resource {
    /// Methods it takes, as the `Allow` header lists them. A script is not run for HEAD:
    /// what it computes would be thrown away.
    pub(crate) fn methods(self) -> &'static str {
        match self {
            Self::Score => "GET, POST, OPTIONS",
            Self::Swagger | Self::Health => "GET, HEAD, OPTIONS",
        }
    }

    /// Whether `method` is one of them.
    pub(crate) fn takes(self, method: &Method) -> bool {
        match (self, method) {
            (_, &Method::GET | &Method::OPTIONS) => true,
            (Self::Score, method) => method == Method::POST,
            (Self::Swagger | Self::Health, method) => method == Method::HEAD,
        }
    }
}

/// Reads a path of the scoring door: `/`, `/api/v1/service/<name>/…` or, with the same
/// meaning, `/api/v1/endpoint/<name>/…`; of one version of an endpoint, with
/// `version/<version>/` after the name. Names have no slash, however it is written: what
/// a version is called inside leads nowhere.
pub(crate) fn scoring(path: &str) -> Option<Target<'_>> {
    if path == "/" {
        return Some(Target::RouterHealth);
    }
    let rest = path.strip_prefix("/api/v1/")?;
    let rest = rest
        .strip_prefix("service/")
        .or_else(|| rest.strip_prefix("endpoint/"))?;
    let (name, rest) = part(rest)?;
    let prefix = |rest: &str| &path[..path.len() - rest.len()];
    let Some(below) = rest.strip_prefix("/version/") else {
        return Some(Target::Service {
            name,
            prefix: prefix(rest),
            resource: resource(rest)?,
        });
    };
    let (version, rest) = part(below)?;
    Some(Target::Version {
        endpoint: name,
        version,
        prefix: prefix(rest),
        resource: resource(rest)?,
    })
}

/// What stands before the next slash, and the rest from there.
fn part(path: &str) -> Option<(&str, &str)> {
    let (name, rest) = path.split_at(path.find('/').unwrap_or(path.len()));
    (!name.is_empty()).then_some((name, rest))
}

/// Reads a path of the door of one local service, which needs no name.
pub(crate) fn local(path: &str) -> Option<Target<'_>> {
    if path.is_empty() {
        return None;
    }
    Some(Target::Service {
        name: "",
        prefix: "",
        resource: resource(path)?,
    })
}

fn resource(path: &str) -> Option<Resource> {
    match path {
        "" | "/" => Some(Resource::Health),
        "/score" => Some(Resource::Score),
        "/swagger.json" => Some(Resource::Swagger),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> Option<(&str, &str, Resource)> {
        match scoring(path)? {
            Target::Service {
                name,
                prefix,
                resource,
            } => Some((name, prefix, resource)),
            Target::RouterHealth | Target::Version { .. } => None,
        }
    }

    #[test]
    fn both_forms_of_a_service_path_lead_to_it() {
        for form in ["service", "endpoint"] {
            let prefix = format!("/api/v1/{form}/digits");
            let cases = [
                ("", Resource::Health),
                ("/", Resource::Health),
                ("/score", Resource::Score),
                ("/swagger.json", Resource::Swagger),
            ];
            for (rest, resource) in cases {
                let path = format!("{prefix}{rest}");
                assert_eq!(of(&path), Some(("digits", prefix.as_str(), resource)));
            }
        }
        assert_eq!(scoring("/"), Some(Target::RouterHealth));
    }

    #[test]
    fn other_paths_lead_nowhere() {
        for path in [
            "",
            "*",
            "/score",
            "/api/v1/service",
            "/api/v1/service/",
            "/api/v1/service//score",
            "/api/v1/service/digits/score/",
            "/api/v1/service/digits/score/more",
            "/api/v1/service/digits/Score",
            "/api/v2/service/digits/score",
            "/api/v1/services/digits/score",
            "/api/v1/endpoint/digits/version",
            "/api/v1/endpoint/digits/version/",
            "/api/v1/endpoint/digits/version//score",
            "/api/v1/endpoint//version/blue/score",
            "/api/v1/endpoint/digits/versions/blue/score",
            "/api/v1/endpoint/digits/version/blue/score/",
            "/api/v1/endpoint/digits/version/blue/version/blue/score",
            "/api/v1/endpoint/digits/blue/score",
        ] {
            assert_eq!(scoring(path), None, "{path}");
        }
    }

    #[test]
    fn a_version_has_a_path_of_its_own_under_both_forms() {
        for form in ["service", "endpoint"] {
            let prefix = format!("/api/v1/{form}/digits/version/blue");
            let cases = [
                ("", Resource::Health),
                ("/", Resource::Health),
                ("/score", Resource::Score),
                ("/swagger.json", Resource::Swagger),
            ];
            for (rest, resource) in cases {
                let path = format!("{prefix}{rest}");
                let target = Target::Version {
                    endpoint: "digits",
                    version: "blue",
                    prefix: &prefix,
                    resource,
                };
                assert_eq!(scoring(&path), Some(target));
            }
        }
        // Two names with a slash between are never one name.
        let path = "/api/v1/service/digits%2Fblue/score";
        let found = of(path).map(|(name, ..)| name);
        assert_eq!(found, Some("digits%2Fblue"));
    }

    #[test]
    fn a_local_door_has_three_paths() {
        let cases = [
            ("/", Resource::Health),
            ("/score", Resource::Score),
            ("/swagger.json", Resource::Swagger),
        ];
        for (path, resource) in cases {
            let (name, prefix) = ("", "");
            let target = Target::Service {
                name,
                prefix,
                resource,
            };
            assert_eq!(local(path), Some(target));
        }
        assert_eq!(local(""), None);
        assert_eq!(local("/api/v1/service/digits/score"), None);
    }

    #[test]
    fn the_allowed_methods_are_those_that_are_taken() {
        let all = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];
        for resource in [Resource::Score, Resource::Swagger, Resource::Health] {
            let listed: Vec<_> = resource.methods().split(", ").collect();
            for method in all {
                let takes = resource.takes(&method.parse().expect("a method"));
                assert_eq!(takes, listed.contains(&method), "{resource:?} {method}");
            }
        }
    }
}
