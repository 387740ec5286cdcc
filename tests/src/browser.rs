//! A headless Chromium, asked over its debugging pipe what a person would see.
//!
//! The browser reads commands from one pipe and writes answers and events to another, each a JSON text that ends with a
//! zero byte (Chrome DevTools Protocol, `--remote-debugging-pipe`). Nothing is loaded but what a test navigates to, and
//! nothing is left behind.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Longest that a browser may take to answer, on a slow and busy machine.
const LIMIT: Duration = Duration::from_mins(2);

/// Longest that it may take to close.
const GOODBYE: Duration = Duration::from_secs(10);

/// Messages of the browser that may wait to be read; it waits itself beyond that.
const MESSAGES: usize = 1_024;

/// Where the browser is installed, if it is.
pub fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("chromium")).find(|file| file.is_file())
}

/// A browser with one page.
pub struct Browser {
    child: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    session: String,
    number: u64,
    /// What the console said of the page.
    console: Vec<String>,
    loaded: u64,
    _profile: TempDir,
}

/// What a page looks like.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The status of the answer.
    pub status: u64,
    /// The title.
    pub title: String,
    /// The text as it is shown.
    pub text: String,
    /// Width of what is laid out, in pixels, where it is wider than the window.
    pub too_wide: Option<u64>,
    /// What the console complained of.
    pub console: Vec<String>,
}

impl Browser {
    /// Starts the browser with a profile of its own.
    pub fn start(chromium: &PathBuf) -> Self {
        let profile = tempfile::Builder::new().prefix("muster-browser-").tempdir().unwrap();
        // The browser wants its pipes as descriptors 3 and 4; the shell moves ours there.
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>/dev/null", "sh"]).arg(chromium);
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            // A foreign name that leads here, as after DNS rebinding.
            "--host-resolver-rules=MAP rebound.example 127.0.0.1",
            "--remote-debugging-pipe",
        ]);
        command.arg(format!("--user-data-dir={}", profile.path().display())).arg("about:blank");
        command.env("HOME", profile.path());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (commands, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, messages) = sync_channel(MESSAGES);
        std::thread::spawn(move || {
            let mut answers = BufReader::new(answers);
            let mut bytes = Vec::new();
            while answers.read_until(0, &mut bytes).is_ok_and(|read| read > 0) {
                bytes.pop();
                let Ok(message) = serde_json::from_slice(&bytes) else { return };
                if sender.send(message).is_err() {
                    return;
                }
                bytes.clear();
            }
        });
        let mut browser = Self {
            child,
            commands,
            messages,
            session: String::new(),
            number: 0,
            console: Vec::new(),
            loaded: 0,
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", &attach);
        attached["sessionId"].as_str().unwrap().clone_into(&mut browser.session);
        for domain in ["Page.enable", "Runtime.enable", "Log.enable", "Network.enable"] {
            browser.call(domain, &json!({}));
        }
        browser
    }

    /// Opens an address in a window of that width, and waits until it is loaded.
    pub fn open(&mut self, url: &str, width: u32) -> Seen {
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", &size);
        self.console.clear();
        let before = self.loaded;
        let gone = self.call("Page.navigate", &json!({ "url": url }));
        assert!(gone["errorText"].is_null(), "{url}: {gone}");
        let started = Instant::now();
        while self.loaded == before {
            let message = self.next(LIMIT.saturating_sub(started.elapsed()), url);
            self.note(&message);
        }
        // What the console says of a page is told before its next answer.
        let told = self.look(
            "({ title: document.title, text: document.body.innerText, wide: document.documentElement.scrollWidth, \
             status: performance.getEntriesByType('navigation')[0].responseStatus })",
        );
        let wide = told["wide"].as_u64().unwrap();
        Seen {
            status: told["status"].as_u64().unwrap(),
            title: told["title"].as_str().unwrap().to_owned(),
            text: told["text"].as_str().unwrap().to_owned(),
            too_wide: (wide > u64::from(width)).then_some(wide),
            console: self.console.clone(),
        }
    }

    /// Prefers a dark or a light scheme from now on.
    pub fn prefer(&mut self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", &features);
    }

    /// Presses the tabulator key.
    pub fn press_tab(&mut self) {
        for kind in ["keyDown", "keyUp"] {
            self.call(
                "Input.dispatchKeyEvent",
                &json!({ "type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9 }),
            );
        }
    }

    /// The value of an expression on the page.
    pub fn look(&mut self, expression: &str) -> Value {
        let done = self.call("Runtime.evaluate", &json!({ "expression": expression, "returnByValue": true }));
        assert!(done["exceptionDetails"].is_null(), "{expression}: {done}");
        done["result"]["value"].clone()
    }

    /// A picture of the whole page, as the text of its PNG in base64.
    pub fn picture(&mut self) -> String {
        let shot = self.call("Page.captureScreenshot", &json!({ "captureBeyondViewport": true }));
        shot["data"].as_str().unwrap().to_owned()
    }

    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.number += 1;
        let mut command = json!({ "id": self.number, "method": method, "params": parameters });
        if !self.session.is_empty() {
            command["sessionId"] = json!(self.session);
        }
        let mut bytes = command.to_string().into_bytes();
        bytes.push(0);
        self.commands.write_all(&bytes).unwrap_or_else(|error| panic!("the browser is gone: {error}"));
        let started = Instant::now();
        loop {
            let mut message = self.next(LIMIT.saturating_sub(started.elapsed()), method);
            if message["id"] == json!(self.number) {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].take();
            }
            self.note(&message);
        }
    }

    fn next(&self, limit: Duration, what: &str) -> Value {
        match self.messages.recv_timeout(limit) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout) => panic!("the browser did not answer in time: {what}"),
            Err(RecvTimeoutError::Disconnected) => panic!("the browser ended: {what}"),
        }
    }

    fn note(&mut self, message: &Value) {
        let told = &message["params"];
        match message["method"].as_str().unwrap_or_default() {
            "Page.loadEventFired" => self.loaded += 1,
            "Log.entryAdded" => self.console.push(told["entry"]["text"].to_string()),
            "Runtime.consoleAPICalled" => self.console.push(told["args"].to_string()),
            "Runtime.exceptionThrown" => self.console.push(told["exceptionDetails"].to_string()),
            _ => {}
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Closing lets the browser end its own processes; killing is for one that does not listen any more.
        let bytes = format!("{}\0", json!({ "id": 0, "method": "Browser.close" }));
        let _ = self.commands.write_all(bytes.as_bytes());
        let started = Instant::now();
        // Its end of the pipe closes with it.
        while let Ok(_) | Err(RecvTimeoutError::Timeout) = self.messages.recv_timeout(Duration::from_millis(50)) {
            if started.elapsed() > GOODBYE {
                break;
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
