//! What rank 0 tells the others, by whatever way there is, so that they find it over TCP.

use super::Address;
use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    net::{TcpListener, UdpSocket},
};

/// Where a process runs.
#[derive(Clone, Copy, Debug)]
pub struct Here<'a> {
    /// Name of its host.
    pub host: &'a str,
    /// What the batch system calls this host, where it says so: the others may find it by that name alone.
    pub node_name: Option<&'a str>,
}

impl Here<'_> {
    /// Where rank 0 may be found: a number of this meeting, its port, and its host's names and addresses, one a line.
    pub(crate) fn offer(&self, listener: &TcpListener) -> Vec<u8> {
        let run = RandomState::new().build_hasher().finish();
        let port = listener.local_addr().map_or(0, |address| address.port());
        let mut hosts = vec![self.host.to_owned()];
        hosts.extend(self.node_name.filter(|name| *name != self.host).map(str::to_owned));
        // Connecting a datagram socket sends nothing: it only tells by which of its addresses this host reaches others.
        for (here, there) in [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")] {
            let socket = UdpSocket::bind(here);
            let address = socket.and_then(|socket| socket.connect(there).and_then(|()| socket.local_addr()));
            hosts.extend(address.ok().map(|address| address.ip().to_string()));
        }
        format!("{run}\n{port}\n{}", hosts.join("\n")).into_bytes()
    }

    /// What [`offer`](Self::offer) says, for a process here: of its own host it takes the loopback first.
    pub(crate) fn read(&self, offer: &[u8]) -> (u64, Vec<Address>) {
        let text = String::from_utf8_lossy(offer);
        let mut lines = text.lines();
        let mut number = || lines.next().and_then(|line| line.parse::<u64>().ok()).unwrap_or_default();
        let (run, port) = (number(), number() as u16);
        let hosts: Vec<&str> = lines.collect();
        let own = hosts.first() == Some(&self.host);
        let all = own.then_some("127.0.0.1").into_iter().chain(hosts);
        (run, all.map(|host| Address { host: host.to_owned(), port, run }).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::seats::Seats;
    use super::*;

    #[test]
    fn rank_zero_is_looked_for_on_the_own_host_first() {
        let listener = Seats::listen(0).unwrap();
        let here = |host| Here { host, node_name: Some("node-1") };
        let offer = here("n1").offer(&listener);
        let port = listener.local_addr().unwrap().port();
        let hosts = |host| {
            let (_, places) = here(host).read(&offer);
            places.into_iter().map(|place| (place.host, place.port)).collect::<Vec<_>>()
        };
        assert_eq!(hosts("n1")[..3], ["127.0.0.1", "n1", "node-1"].map(|host| (host.to_owned(), port)));
        assert_eq!(hosts("n2")[0], ("n1".to_owned(), port));
    }
}
