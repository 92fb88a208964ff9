//! `orchestrator dashboard`: the sweeps of a store as pages, while they run elsewhere.
//!
//! It listens on this machine alone unless told otherwise, and then lets in whoever has the token. It reads the store and
//! answers GET with pages of its own making: no request names a file.

mod guard;
mod http;
mod pages;
mod sweeps;

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use store::Store;

use crate::cli::DashboardArgs;
use guard::{Entry, Guard};
use http::{Limits, Request, Response, Status};
use sweeps::Sweeps;

/// Serves the pages until a signal ends the program.
pub(crate) fn run(args: &DashboardArgs) -> Result<ExitCode> {
    let store = Store::open(&args.store)?;
    // A store that cannot be read is told now, not to the first reader.
    crate::plans::names(&store)?;
    let address = resolved(&args.listen)?;
    let listener =
        TcpListener::bind(address).with_context(|| format!("--listen {}: another port may be free", args.listen))?;
    let address = listener.local_addr().context("find the address that was bound")?;
    let guard = Guard::new(address, args.token_file.as_deref())?;
    let sweeps = Sweeps::follow(&store, Duration::from_secs_f64(args.every_s))?;
    terminal::line(guard.url(address));
    terminal::note(guard.advice(address));
    let sweeps = Arc::new(sweeps);
    http::serve(&listener, Limits::default(), move |request| answer(&guard, &sweeps, request))
}

fn resolved(listen: &str) -> Result<SocketAddr> {
    let mut found = listen.to_socket_addrs().with_context(|| format!("--listen {listen}: ADDRESS:PORT is expected"))?;
    found.next().with_context(|| format!("--listen {listen} is not the address of a machine"))
}

/// The page that a request asks for, if whoever asks may see it.
fn answer(guard: &Guard, sweeps: &Sweeps, request: &Request) -> Response {
    match guard.entry(request) {
        Entry::Open => {}
        Entry::WithCookie(cookie) => return Response::see_other(&request.path).with("set-cookie", cookie),
        Entry::WrongHost => {
            return Response::plain(Status::Misdirected, "The dashboard is not served at this address.");
        }
        Entry::Closed => {
            return Response::plain(
                Status::Unauthorized,
                "The token is missing or wrong: open the address that the dashboard printed.",
            )
            .with("www-authenticate", "Bearer".to_owned());
        }
    }
    let parts: Vec<&str> = request.path.split('/').skip(1).collect();
    match parts.as_slice() {
        [""] => pages::list(&sweeps.all()),
        ["sweeps", name] => match sweeps.picture(&http::decoded(name)) {
            Some(seen) => pages::sweep(&seen),
            None => missing(),
        },
        ["sweeps", name, "report"] => match sweeps.report(&http::decoded(name)) {
            Some(Ok(report)) => pages::report(&report, request.query.as_deref() == Some("hold")),
            Some(Err(error)) => Response::plain(Status::Unavailable, &format!("The report cannot be made: {error:#}")),
            None => missing(),
        },
        _ => missing(),
    }
}

fn missing() -> Response {
    Response::plain(Status::NotFound, "There is no such page. The list of sweeps is at /.")
}
