//! How the dashboard is reached: over TLS, behind a proxy, and by `docent dashboard --open`.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use serde_json::json;

use crate::api::{certificate, install};
use crate::helper::{Run, World};
use crate::page::Dashboard;

/// What tells a browser to take this certificate, and no other that it does not trust: the hash of its key.
fn pin(certificate: &Path) -> String {
    let script = "openssl x509 -in \"$0\" -pubkey -noout | openssl pkey -pubin -outform der \
                  | openssl dgst -sha256 -binary | base64";
    let run = Run::of(Command::new("sh").args(["-c", script]).arg(certificate));
    assert_eq!(run.code(), 0, "{}", run.stderr());
    assert_eq!(run.stdout().trim().len(), 44, "{}", run.stderr());
    format!(
        "--ignore-certificate-errors-spki-list={}",
        run.stdout().trim()
    )
}

#[test]
fn over_tls_the_page_is_live_and_its_cookie_goes_nowhere_else() {
    let world = World::new(
        "[http]\nlisten = \"127.0.0.1:0\"\ntls_certificate = \"tls.pem\"\ntls_key = \"tls.key\"\n",
    );
    certificate(&world, "authority");
    install(&world);
    let pin = pin(&world.path().join("tls.pem"));
    let mut page = Dashboard::of(world, "https", &[&pin]);
    page.enter("operate");
    page.follows_what_happens();
    let cookies = page.browser.call("Network.getCookies", json!({}))["cookies"].clone();
    assert_eq!(cookies.as_array().map(Vec::len), Some(1), "{cookies}");
    let cookie = &cookies[0];
    assert_eq!(
        (&cookie["secure"], &cookie["httpOnly"]),
        (&true.into(), &true.into())
    );
    assert_eq!(cookie["sameSite"], "Strict");
    page.pauses_a_job();
    page.is_clean();
}

/// A reverse proxy that adds nothing: it forwards what it gets with the header `Host` as it came, one request a connection,
/// and passes the answer on as it comes.
struct Proxy {
    port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    fn start(listener: TcpListener, upstream: u16) -> Proxy {
        let port = listener.local_addr().expect("an address").port();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            std::thread::scope(|scope| {
                for client in listener.incoming() {
                    if stopped.load(Ordering::SeqCst) {
                        return;
                    }
                    let client = client.expect("a connection");
                    // A browser or a daemon that goes away ends it.
                    scope.spawn(move || forward(&client, upstream).ok());
                }
            });
        });
        Proxy {
            port,
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the thread; one that is gone cannot be.
        TcpStream::connect(("127.0.0.1", self.port)).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn forward(client: &TcpStream, upstream: u16) -> io::Result<()> {
    let mut reader = BufReader::new(client);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        match name.to_lowercase().as_str() {
            "" => return Ok(()), // a browser that connected in advance
            "\r\n" => break,
            // That is between the browser and the proxy.
            "connection" => continue,
            "content-length" => length = value.trim().parse().expect("a length"),
            _ => {}
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut daemon = TcpStream::connect(("127.0.0.1", upstream))?;
    daemon.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
    daemon.write_all(&body)?;
    let mut client = client;
    io::copy(&mut daemon, &mut client)?;
    client.shutdown(Shutdown::Both)
}

#[test]
fn behind_a_proxy_that_forwards_host_and_adds_nothing_everything_works() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let own = format!("http://127.0.0.1:{port}");
    let world = World::new(&format!(
        "[http]\nlisten = \"127.0.0.1:0\"\npublic_url = \"{own}\"\n"
    ));
    let mut page = Dashboard::of(world, "http", &[]);
    assert_ne!(page.port, port);
    let proxy = Proxy::start(listener, page.port);
    page.base = own;
    page.enter("operate");
    page.follows_what_happens();
    page.pauses_a_job();
    // All of it went through the proxy.
    page.is_clean();
    page.browser.click(".logout button");
    page.browser
        .until("document.querySelector('h1')?.innerText === 'You are not logged in'");
    // Its connections end with the browser and the daemon.
    drop(page);
    drop(proxy);
}

#[test]
fn dashboard_open_hands_the_address_to_xdg_open() {
    let mut page = Dashboard::start();
    let programs = page.world.path().join("programs");
    fs::create_dir(&programs).expect("a folder");
    let open = || {
        let mut command = page.world.command(["dashboard", "--open"]);
        Run::of(command.env("PATH", &programs))
    };
    let missing = open();
    assert_eq!(missing.code(), 69);
    let told = missing.stderr();
    assert!(
        told.contains("cannot open a browser with xdg-open"),
        "{told}"
    );
    assert!(
        told.contains("open the address that is printed above"),
        "{told}"
    );
    let address = missing.stdout();
    assert!(address.starts_with(&page.url("/login#")), "{address}");

    let program = programs.join("xdg-open");
    let opened = page.world.path().join("opened");
    let record = |end: u8| {
        let script = format!(
            "#!/bin/sh\nprintf '%s\\n' \"$@\" > '{}'\nexit {end}\n",
            opened.display()
        );
        fs::write(&program, script).expect("a program");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("its mode");
    };
    record(3);
    let failed = open();
    assert_eq!(failed.code(), 69);
    let told = failed.stderr();
    assert!(
        told.contains("xdg-open opened no browser: exit status: 3"),
        "{told}"
    );

    record(0);
    let run = open();
    assert_eq!(run.code(), 0, "{}", run.stderr());
    let address = fs::read_to_string(&opened).expect("what was opened");
    assert_eq!(
        address,
        run.stdout(),
        "one argument, the address that is printed"
    );
    page.browser.open(address.trim());
    page.browser.click("#login button");
    page.browser.until("document.getElementById('overview')");
    page.is_clean();
}
