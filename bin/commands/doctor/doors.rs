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

pub(super) fn check(data: &Path, wanted: [Door; 2]) -> Finding {
    match node::running(data).and_then(|node| of(&node)) {
        Some(doors) => taken(doors),
        None => free(wanted),
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
    for (name, address) in doors {
        if let Err(error) = TcpStream::connect_timeout(&address, CONNECT) {
            return Finding::failed(
                format!("the node's {name} door {address} takes no connection: {error}"),
                "see the node's log; if it hangs, stop it and start it again with `lusk up`",
            );
        }
    }
    let [(_, scoring), (_, admin)] = doors;
    Finding::ok(format!("the node has {scoring} and {admin}"))
}

/// A node that would be started must get both.
fn free(wanted: [Door; 2]) -> Finding {
    let mut held = Vec::new();
    for (name, address) in wanted {
        match TcpListener::bind(address) {
            Ok(listener) => held.push(listener),
            Err(error) => return refused(name, address, &error),
        }
    }
    let [(_, scoring), (_, admin)] = wanted.map(|(name, address)| (name, shown(address)));
    Finding::ok(format!("{scoring} and {admin} are free"))
}

fn shown(address: SocketAddr) -> String {
    match address.port() {
        0 => format!("ports of {}", address.ip()),
        _ => address.to_string(),
    }
}

fn refused(name: &str, address: SocketAddr, error: &io::Error) -> Finding {
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
    Finding::failed(format!("{address}, for the {name} door: {why}"), remedy)
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
        let finding = free([("scoring", any()), ("admin", address)]);
        assert_eq!(finding.state, State::Failed);
        assert!(finding.text.contains("another program has it"));
        assert!(finding.remedy.unwrap().ends_with("--admin"));
        assert_eq!(
            free([("scoring", any()), ("admin", any())]).state,
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
        let finding = free([("scoring", free_now), ("admin", free_now)]);
        assert_eq!(finding.state, State::Failed);
    }

    #[test]
    fn an_address_of_another_machine_is_none() {
        let finding = free([
            ("scoring", "192.0.2.1:0".parse().unwrap()),
            ("admin", any()),
        ]);
        assert!(finding.text.contains("no such address"), "{}", finding.text);
    }
}
