//! A real browser: Debian's Chromium without a window, driven by the DevTools protocol over two pipes.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::helper::DEADLINE;

/// A browser with one page. Killed when dropped.
pub(crate) struct Browser {
    child: Child,
    input: Option<ChildStdin>,
    messages: Receiver<Value>,
    reader: Option<JoinHandle<()>>,
    session: String,
    /// The page, as the browser calls it.
    target: Value,
    calls: u64,
    /// What the page told by itself.
    told: Vec<Value>,
}

impl Browser {
    /// Starts a browser whose own files are below `folder`, with a page of this size, and with these arguments.
    pub(crate) fn start(folder: &Path, (width, height): (u32, u32), arguments: &[&str]) -> Browser {
        let profile = folder.join("browser");
        let mut command = Command::new("sh");
        // The browser reads commands from descriptor 3 and answers on 4.
        command
            .args([
                "-c",
                "exec chromium \"$@\" 3<&0 4>&1 </dev/null >/dev/null",
                "sh",
            ])
            .args([
                "--headless",
                "--remote-debugging-pipe",
                "--no-first-run",
                "--disable-gpu",
            ])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ])
            .args([
                "--disable-dev-shm-usage",
                "--hide-scrollbars",
                "--force-color-profile=srgb",
            ])
            .arg(format!("--user-data-dir={}", profile.display()))
            .args(arguments)
            .env("HOME", folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(folder.join("browser.log")).expect("the browser's log"));
        if rustix::process::geteuid().is_root() {
            command.arg("--no-sandbox");
        }
        let found = Command::new("sh")
            .args(["-c", "command -v chromium"])
            .output();
        assert!(
            found.is_ok_and(|found| found.status.success()),
            "there is no chromium; as root: apt-get install chromium fonts-dejavu-core"
        );
        let mut child = command.spawn().expect("sh starts");
        let (sender, messages) = channel();
        let output = child.stdout.take().expect("a pipe");
        let reader = std::thread::spawn(move || {
            for message in BufReader::new(output).split(0) {
                let Ok(message) = message else { return };
                let message = serde_json::from_slice(&message).expect("a message is JSON");
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser = Browser {
            input: child.stdin.take(),
            child,
            messages,
            reader: Some(reader),
            session: String::new(),
            target: Value::Null,
            calls: 0,
            told: Vec::new(),
        };
        browser.target = browser.new_tab();
        let attached = browser.call(
            "Target.attachToTarget",
            json!({"targetId": browser.target, "flatten": true}),
        );
        browser.session = attached["sessionId"]
            .as_str()
            .expect("a session")
            .to_owned();
        for domain in ["Page", "Runtime", "Network", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser.resize(width, height);
        browser
    }

    /// Calls a method of the protocol, and waits for its answer.
    pub(crate) fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let mut message = json!({"id": id, "method": method, "params": parameters});
        if !self.session.is_empty() {
            message["sessionId"] = self.session.clone().into();
        }
        let input = self.input.as_mut().expect("it runs");
        input
            .write_all(format!("{message}\0").as_bytes())
            .expect("the browser reads");
        let deadline = Instant::now() + DEADLINE;
        loop {
            let message = self
                .next(deadline)
                .unwrap_or_else(|| panic!("no answer to {method}"));
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
            self.told.push(message);
        }
    }

    fn next(&mut self, deadline: Instant) -> Option<Value> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.messages.recv_timeout(left) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("the browser is gone"),
        }
    }

    /// Opens a tab, in front of those that are there.
    fn new_tab(&mut self) -> Value {
        let blank = json!({"url": "about:blank"});
        self.call("Target.createTarget", blank)["targetId"].clone()
    }

    /// Hides the page behind another tab.
    pub(crate) fn hide(&mut self) {
        self.new_tab();
    }

    /// Brings the page to the front again.
    pub(crate) fn show(&mut self) {
        let page = json!({"targetId": self.target});
        self.call("Target.activateTarget", page);
    }

    pub(crate) fn resize(&mut self, width: u32, height: u32) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// Shows pages as in a dark room, or not.
    pub(crate) fn dark(&mut self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": value}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    pub(crate) fn scripts(&mut self, on: bool) {
        self.call(
            "Emulation.setScriptExecutionDisabled",
            json!({"value": !on}),
        );
    }

    /// Goes to an address, and waits until the page is there.
    pub(crate) fn open(&mut self, address: &str) {
        let went = self.call("Page.navigate", json!({"url": address}));
        assert!(went["errorText"].is_null(), "{address}: {went}");
        self.loaded();
    }

    /// Shows nothing, so that the next address is opened anew even if it differs by its fragment alone.
    pub(crate) fn leave(&mut self) {
        self.call("Page.navigate", json!({"url": "about:blank"}));
        self.until("location.href === 'about:blank'");
    }

    /// Waits until the page is there.
    pub(crate) fn loaded(&mut self) {
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'");
    }

    /// The value of an expression in the page.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let call = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let result = self.call("Runtime.evaluate", call);
        assert!(
            result["exceptionDetails"].is_null(),
            "{expression}: {result}"
        );
        result["result"]["value"].clone()
    }

    /// The text of an element as it is shown; empty where there is none.
    pub(crate) fn text(&mut self, selector: &str) -> String {
        let expression = format!(
            "document.querySelector({})?.innerText ?? ''",
            json!(selector)
        );
        self.value(&expression)
            .as_str()
            .unwrap_or_default()
            .trim()
            .to_owned()
    }

    /// Waits until an expression is true in whatever page is there.
    pub(crate) fn until(&mut self, expression: &str) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let call =
                json!({"expression": format!("Boolean({expression})"), "returnByValue": true});
            // A page that is being left has nothing to evaluate in.
            let result = self.attempt("Runtime.evaluate", call);
            if result["result"]["result"]["value"] == true {
                return;
            }
            if Instant::now() >= deadline {
                let shown = self.value("document.body?.innerText");
                panic!("not true within {DEADLINE:?}: {expression}\n{result}\n{shown}");
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    /// A call that may fail; the whole message.
    fn attempt(&mut self, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let message =
            json!({"id": id, "method": method, "params": parameters, "sessionId": self.session});
        let input = self.input.as_mut().expect("it runs");
        input
            .write_all(format!("{message}\0").as_bytes())
            .expect("the browser reads");
        let deadline = Instant::now() + DEADLINE;
        loop {
            let message = self
                .next(deadline)
                .unwrap_or_else(|| panic!("no answer to {method}"));
            if message["id"] == id {
                return message;
            }
            self.told.push(message);
        }
    }

    /// Waits until there is such an element, and clicks in its middle.
    pub(crate) fn click(&mut self, selector: &str) {
        let quoted = json!(selector);
        let middle = format!(
            "(() => {{ const e = document.querySelector({quoted}); e?.scrollIntoView({{block: 'center'}});
             const r = e?.getBoundingClientRect(); const at = r && [r.x + r.width / 2, r.y + r.height / 2];
             return at && e.contains(document.elementFromPoint(...at)) ? at : null; }})()"
        );
        // Nothing may stand before it.
        self.until(&middle);
        let place = self.value(&middle);
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Presses a key: `Tab`, `Enter`, `Escape`.
    pub(crate) fn press(&mut self, key: &str) {
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            "Escape" => 27,
            other => panic!("no test presses {other}"),
        };
        for kind in ["keyDown", "keyUp"] {
            let mut event =
                json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code});
            if key == "Enter" && kind == "keyDown" {
                event["text"] = "\r".into();
            }
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Keeps a picture of all of the page in `target/screenshots/`.
    pub(crate) fn picture(&mut self, name: &str) {
        let size = self.call("Page.getLayoutMetrics", json!({}))["cssContentSize"].clone();
        let clip =
            json!({"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1});
        let all = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        let shot = self.call("Page.captureScreenshot", all);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
        fs::create_dir_all(&folder).expect("a folder for pictures");
        let data = shot["data"].as_str().expect("a picture");
        fs::write(folder.join(format!("{name}.png")), decoded(data)).expect("a picture is kept");
    }

    /// What the page told of this kind.
    fn told_of(&self, method: &str) -> impl Iterator<Item = &Value> {
        let of_kind = self.told.iter().filter(move |m| m["method"] == method);
        of_kind.map(|message| &message["params"])
    }

    /// The addresses that were asked for.
    pub(crate) fn requests(&self) -> Vec<String> {
        let sent = self.told_of("Network.requestWillBeSent");
        sent.filter_map(|sent| sent["request"]["url"].as_str())
            .map(str::to_owned)
            .collect()
    }

    /// How many requests for this address have not ended.
    pub(crate) fn under_way(&self, address: &str) -> usize {
        let has_ended = |sent: &Value| {
            ["Network.loadingFinished", "Network.loadingFailed"]
                .iter()
                .flat_map(|method| self.told_of(method))
                .any(|ended| ended["requestId"] == sent["requestId"])
        };
        self.told_of("Network.requestWillBeSent")
            .filter(|sent| sent["request"]["url"] == address && !has_ended(sent))
            .count()
    }

    /// Waits until every request for this address has ended.
    pub(crate) fn until_not_under_way(&mut self, address: &str) {
        let deadline = Instant::now() + DEADLINE;
        while self.under_way(address) > 0 {
            let message = self.next(deadline);
            self.told
                .push(message.unwrap_or_else(|| panic!("it has not ended: {address}")));
        }
    }

    /// What the console has of errors: of scripts, of what was refused, of violations of the policy.
    pub(crate) fn errors(&self) -> Vec<String> {
        let is_error = |message: &&Value| {
            let parameters = &message["params"];
            match message["method"].as_str() {
                Some("Runtime.exceptionThrown") => true,
                Some("Runtime.consoleAPICalled") => ["error", "warning", "assert"]
                    .iter()
                    .any(|kind| parameters["type"] == *kind),
                Some("Log.entryAdded") => {
                    let text = parameters["entry"]["text"].as_str().unwrap_or_default();
                    // That is how whoever is not logged in is answered.
                    parameters["entry"]["level"] == "error" && !text.contains("status of 401")
                }
                _ => false,
            }
        };
        self.told
            .iter()
            .filter(is_error)
            .map(Value::to_string)
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Without its commands it ends by itself; killed, it ends at once.
        self.input = None;
        self.child.kill().ok();
        self.child.wait().ok();
        if let Some(reader) = self.reader.take() {
            reader.join().ok();
        }
    }
}

/// The bytes of a text in base 64.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut held, mut bits) = (0_u32, 0);
    for digit in text.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        held = held << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits & 0xFF) as u8);
        }
    }
    bytes
}
