//! The servers that are compared.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::common::process::{Process, pinned, status};

pub(crate) struct Server {
    process: Process,
}

impl Server {
    pub(crate) fn discovery() -> Server {
        // The registrations must outlive the run.
        let arguments = ["--ttl", "86400", "--max-connections", "20000"];
        Server {
            process: Process::discovery(&arguments),
        }
    }

    pub(crate) fn address(&self) -> &str {
        &self.process.address
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).expect("the server accepts");
        stream.set_nodelay(true).expect("an option");
        let patience = Some(Duration::from_secs(30));
        stream.set_read_timeout(patience).expect("an option");
        stream
    }

    /// Sends a line, and returns the line that answers it.
    pub(crate) fn line(&self, command: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(command.as_bytes()).expect("it reads");
        let mut line = String::new();
        BufReader::new(stream)
            .read_line(&mut line)
            .expect("it answers");
        line.trim_end().to_owned()
    }

    /// Registers so many of the type `hive`.
    pub(crate) fn register(&self, count: usize) {
        for number in 0..count {
            let uuid = self.line(&format!("register hive 10.0.0.{} 8080\n", number + 1));
            assert_eq!(uuid.len(), 36, "{uuid}");
        }
    }

    /// Bytes of the answer to a request, the same for each.
    pub(crate) fn answer_len(&self, request: &[u8]) -> usize {
        let mut stream = self.connect();
        stream.write_all(request).expect("it reads");
        stream
            .shutdown(std::net::Shutdown::Write)
            .expect("it is open");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("it answers");
        let text = String::from_utf8_lossy(&answer);
        let is_good = text.starts_with("HTTP/1.1 200") || text.starts_with('[');
        assert!(is_good, "{text}");
        answer.len()
    }

    /// As [`Process::processor_time`].
    pub(crate) fn processor_time(&self) -> (Duration, Duration) {
        self.process.processor_time()
    }

    /// Bytes of memory of its own.
    pub(crate) fn memory(&self) -> u64 {
        status(self.process.id(), "RssAnon:") * 1024
    }
}

/// nginx with one process and one file.
pub(crate) struct Nginx {
    pub(crate) server: Server,
    _folder: TempDir,
}

impl Nginx {
    /// Serves `/hive.json` with this body; `None` where nginx is not installed.
    pub(crate) fn start(body: &str) -> Option<Nginx> {
        let program = ["nginx", "/usr/sbin/nginx"].into_iter().find(|program| {
            let version = Command::new(program)
                .arg("-v")
                .stderr(Stdio::null())
                .status();
            version.is_ok_and(|status| status.success())
        })?;
        let folder = tempfile::tempdir().expect("a folder");
        // A worker of nginx may have given up its rights before it reads the file.
        let path = folder.path();
        std::fs::write(path.join("hive.json"), body).expect("a file");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let port = free.expect("a free port").port();
        let configuration = format!(
            "daemon off; master_process off; worker_processes 1; pid nginx.pid; error_log stderr crit;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; keepalive_requests 1000000000; open_file_cache max=10;\n\
             types {{ application/json json; }}\n\
             server {{ listen 127.0.0.1:{port}; root .; }} }}\n"
        );
        let file = path.join("nginx.conf");
        std::fs::write(&file, configuration).expect("a file");
        let mut command = pinned(program);
        command.arg("-p").arg(path).arg("-c").arg(&file);
        let child = command.stdout(Stdio::null()).spawn().expect("nginx starts");
        let address = format!("127.0.0.1:{port}");
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(&address).is_err() {
            assert!(Instant::now() < deadline, "nginx does not accept");
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(Nginx {
            server: Server {
                process: Process::new(child, address),
            },
            _folder: folder,
        })
    }
}
