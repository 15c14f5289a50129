//! The addresses of both doors: free, or those of the running node.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    time::Duration,
};

use lusk_store::NodeInfo;

use super::{finding::Finding, node};

/// Time for a connection to a door of this machine.
const CONNECT: Duration = Duration::from_secs(2);

/// A door's name and address.
type Door = (&'static str, SocketAddr);

pub(super) fn check(data: &Path, wanted: [Door; 2], is_open: bool) -> Finding {
    match node::running(data).and_then(|node| of(&node)) {
        Some(doors) => taken(doors),
        None => free(wanted, is_open),
    }
}

fn of(node: &NodeInfo) -> Option<[Door; 2]> {
    let address = |url: &str| url.split_once("://")?.1.parse().ok();
    Some([
        ("scoring", address(&node.scoring)?),
        ("admin", address(&node.admin)?),
    ])
}

/// The node that runs must be there.
fn taken(doors: [Door; 2]) -> Finding {
    let mut silent = Vec::new();
    for (name, address) in doors {
        if let Err(error) = TcpStream::connect_timeout(&address, CONNECT) {
            silent.push(format!(
                "the node's {name} door {address} takes no connection: {error}"
            ));
        }
    }
    if !silent.is_empty() {
        return Finding::failed(
            silent.join("; "),
            "see the node's log; if it hangs, stop it and start it again with `lusk up`",
        );
    }
    let [(_, scoring), (_, admin)] = doors;
    Finding::ok(format!("the node has {scoring} and {admin}"))
}

/// A node that would be started must get both, and may not show the admin door to
/// the network unless `is_open` says so.
fn free(wanted: [Door; 2], is_open: bool) -> Finding {
    let mut held = Vec::new();
    let mut problems = Vec::new();
    for (name, address) in wanted {
        if name == "admin" && !address.ip().is_loopback() && !is_open {
            problems.push(exposed(address));
        }
        match TcpListener::bind(address) {
            Ok(listener) => held.push(listener),
            Err(error) => problems.push(refused(name, address, &error)),
        }
    }
    if problems.is_empty() {
        let [(_, scoring), (_, admin)] = wanted;
        return Finding::ok(will_have(scoring, admin));
    }
    let (texts, remedies): (Vec<_>, Vec<_>) = problems.into_iter().unzip();
    Finding::failed(texts.join("; "), remedies.join("; "))
}

fn will_have(scoring: SocketAddr, admin: SocketAddr) -> String {
    let shown = |address: SocketAddr| match address.port() {
        0 => format!("some port of {}", address.ip()),
        _ => address.to_string(),
    };
    if scoring == admin {
        return format!("two ports of {} are free", scoring.ip());
    }
    format!("{} and {} are free", shown(scoring), shown(admin))
}

/// What is wrong, and the way out.
type Problem = (String, String);

/// As `lusk up` refuses it.
fn exposed(address: SocketAddr) -> Problem {
    (
        format!("the admin door on {address} would be open to the network without TLS"),
        "use a loopback address, or --insecure-admin if something else protects it".to_owned(),
    )
}

fn refused(name: &str, address: SocketAddr, error: &io::Error) -> Problem {
    let flag = if name == "admin" {
        "--admin"
    } else {
        "--listen"
    };
    let (why, remedy) = match error.kind() {
        io::ErrorKind::AddrInUse => (
            "another program has it".to_owned(),
            format!("stop that one (`ss -ltnp` names it), or choose another with {flag}"),
        ),
        io::ErrorKind::AddrNotAvailable => (
            "this machine has no such address".to_owned(),
            format!("give one that `ip address` lists with {flag}"),
        ),
        io::ErrorKind::PermissionDenied => (
            "this user may not open it".to_owned(),
            format!("choose a port from 1024 on with {flag}"),
        ),
        _ => (error.to_string(), format!("choose another with {flag}")),
    };
    (format!("{address}, for the {name} door: {why}"), remedy)
}

#[cfg(test)]
mod tests {
    use super::{super::finding::State, *};

    fn any() -> SocketAddr {
        "127.0.0.1:0".parse().unwrap()
    }

    #[test]
    fn a_port_of_somebody_else_is_told_with_its_flag() {
        let other = TcpListener::bind(any()).unwrap();
        let address = other.local_addr().unwrap();
        let finding = free([("scoring", any()), ("admin", address)], false);
        assert_eq!(finding.state, State::Failed);
        assert!(finding.text.contains("another program has it"));
        assert!(finding.remedy.unwrap().ends_with("--admin"));
        assert_eq!(
            free([("scoring", any()), ("admin", any())], false).state,
            State::Ok
        );
        let finding = taken([("scoring", address), ("admin", address)]);
        assert_eq!(finding.state, State::Ok);
        drop(other);
        let finding = taken([("scoring", address), ("admin", address)]);
        assert_eq!(finding.state, State::Failed);
    }

    #[test]
    fn both_doors_at_one_address_do_not_go_together() {
        let free_now = TcpListener::bind(any()).unwrap().local_addr().unwrap();
        let finding = free([("scoring", free_now), ("admin", free_now)], false);
        assert_eq!(finding.state, State::Failed);
    }

    #[test]
    fn an_address_of_another_machine_is_none() {
        let finding = free(
            [
                ("scoring", "192.0.2.1:0".parse().unwrap()),
                ("admin", any()),
            ],
            false,
        );
        assert!(finding.text.contains("no such address"), "{}", finding.text);
    }

    #[test]
    fn an_admin_door_for_all_is_told_as_up_refuses_it() {
        let doors = [("scoring", any()), ("admin", "0.0.0.0:0".parse().unwrap())];
        let finding = free(doors, false);
        assert_eq!(finding.state, State::Failed);
        assert!(finding.remedy.unwrap().contains("--insecure-admin"));
        assert_eq!(free(doors, true).state, State::Ok);
    }

    #[test]
    fn both_doors_are_told_at_once() {
        let [one, other] = [any(), any()].map(|it| TcpListener::bind(it).unwrap());
        let [one, other] = [&one, &other].map(|it| it.local_addr().unwrap());
        let finding = free([("scoring", one), ("admin", other)], false);
        for address in [one, other] {
            assert!(finding.text.contains(&address.to_string()), "{finding:?}");
        }
        let remedy = finding.remedy.unwrap();
        assert!(remedy.contains("--listen") && remedy.contains("--admin"));
    }

    #[test]
    fn ports_that_the_system_chooses_are_named_once() {
        let other = "127.0.0.1:80".parse().unwrap();
        assert_eq!(will_have(any(), any()), "two ports of 127.0.0.1 are free");
        assert_eq!(
            will_have(other, any()),
            "127.0.0.1:80 and some port of 127.0.0.1 are free"
        );
    }
}
