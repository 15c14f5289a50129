//! Listeners of one address that share its callers.

use std::{io, net::SocketAddr};

use tokio::net::TcpSocket;

/// Callers that wait to be let in, for each listener; the system's own bound is lower as
/// a rule.
const BACKLOG: u32 = 4096;

/// Opens so many listeners on one address; with port 0 they share a free one. The system
/// gives each of them its part of the callers.
///
/// # Errors
/// The address is taken, by another node too, or not ours.
pub fn bind_shared(address: SocketAddr, count: usize) -> io::Result<Vec<std::net::TcpListener>> {
    // Alone first, for who shares an address shares it with any program of the same
    // user. It does not listen: nobody's call can end with it.
    let alone = socket(address)?;
    alone.bind(address)?;
    let address = alone.local_addr()?;
    drop(alone);
    (0..count.max(1)).map(|_| bind(address)).collect()
}

fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = socket(address)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn any() -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 0).into()
    }

    #[tokio::test]
    async fn all_listen_on_one_port() {
        let listeners = bind_shared(any(), 3).unwrap();
        let ports: Vec<_> = listeners
            .iter()
            .map(|listener| listener.local_addr().unwrap().port())
            .collect();
        assert_eq!(ports.len(), 3);
        assert!(ports.iter().all(|port| *port == ports[0] && *port != 0));
    }

    #[tokio::test]
    async fn an_address_is_not_shared_with_another_node() {
        let first = bind_shared(any(), 2).unwrap();
        let taken = first[0].local_addr().unwrap();
        let error = bind_shared(taken, 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(first);
        bind_shared(taken, 2).unwrap();
    }
}
