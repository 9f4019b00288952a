//! A network that can be bad: what listens on 127.0.0.1 is reached on the same port of 127.0.0.2, through here.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What becomes of bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Weather {
    Fair,
    /// Connections break, and none is made.
    Cut,
    /// Nothing passes; once the weather changes, all of it does: a cable that was out.
    Held,
    /// Bytes to who was called are lost, others pass; connections that lost any break when the weather changes.
    LostThere,
    /// Bytes from who was called are lost.
    LostBack,
    /// All bytes come so much later.
    Late(Duration),
}

/// The host that others are to be told.
pub const HOST: &str = "127.0.0.2";

#[derive(Clone)]
pub struct Network {
    weather: Arc<Mutex<Weather>>,
    /// Connections made, broken or held up so far.
    pub touched: Arc<AtomicUsize>,
    /// What was carried, both ways.
    heard: Arc<Mutex<Vec<u8>>>,
    over: Arc<AtomicBool>,
}

impl Network {
    pub fn new() -> Self {
        Self {
            weather: Arc::new(Mutex::new(Weather::Fair)),
            touched: Arc::default(),
            heard: Arc::default(),
            over: Arc::default(),
        }
    }

    pub fn set(&self, weather: Weather) {
        *self.weather.lock().unwrap() = weather;
    }

    /// What was carried so far, both ways.
    pub fn heard(&self) -> Vec<u8> {
        self.heard.lock().unwrap().clone()
    }

    fn now(&self) -> Weather {
        *self.weather.lock().unwrap()
    }

    /// Carries connections to this port.
    pub fn carry(&self, port: u16) {
        let listener = TcpListener::bind((HOST, port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let network = self.clone();
        std::thread::spawn(move || {
            while !network.over.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((caller, _)) => network.connect(caller, port),
                    Err(_) => std::thread::sleep(Duration::from_millis(2)),
                }
            }
        });
    }

    fn connect(&self, caller: TcpStream, port: u16) {
        if self.now() == Weather::Cut {
            self.touched.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let Ok(called) = TcpStream::connect(("127.0.0.1", port)) else {
            return;
        };
        for stream in [&caller, &called] {
            stream.set_nonblocking(false).unwrap();
            stream.set_nodelay(true).unwrap();
            let tick = Some(Duration::from_millis(20));
            stream.set_read_timeout(tick).unwrap();
        }
        let twin = |s: &TcpStream| s.try_clone().unwrap();
        self.pump(twin(&caller), twin(&called), Weather::LostThere);
        self.pump(called, caller, Weather::LostBack);
    }

    /// Carries bytes from one to the other; `lost` is the weather in which they are lost.
    fn pump(&self, mut from: TcpStream, to: TcpStream, lost: Weather) {
        let (send, bytes) = channel();
        let reading = self.clone();
        std::thread::spawn(move || {
            let mut piece = vec![0; 64 << 10];
            while !reading.over.load(Ordering::Relaxed) && reading.now() != Weather::Cut {
                match from.read(&mut piece) {
                    Ok(0) => break,
                    Ok(n) => {
                        reading.heard.lock().unwrap().extend(&piece[..n]);
                        if send.send((Instant::now(), piece[..n].to_vec())).is_err() {
                            break;
                        }
                    }
                    Err(e) if would_block(&e) => {}
                    Err(_) => break,
                }
            }
            if reading.now() == Weather::Cut {
                let _ = from.shutdown(Shutdown::Both);
            }
        });
        let writing = self.clone();
        std::thread::spawn(move || writing.write(&bytes, to, lost));
    }

    fn write(&self, bytes: &Receiver<(Instant, Vec<u8>)>, mut to: TcpStream, lost: Weather) {
        let mut damaged = false;
        while let Ok((at, piece)) = bytes.recv() {
            let mut touch = true;
            loop {
                let weather = self.now();
                if touch && weather != Weather::Fair {
                    self.touched.fetch_add(1, Ordering::Relaxed);
                    touch = false;
                }
                match weather {
                    Weather::Held => std::thread::sleep(Duration::from_millis(5)),
                    Weather::Late(time) if at.elapsed() < time => {
                        std::thread::sleep(time.saturating_sub(at.elapsed()));
                    }
                    _ => break,
                }
            }
            let weather = self.now();
            if weather == lost {
                damaged = true;
                continue;
            }
            if damaged || weather == Weather::Cut || to.write_all(&piece).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // The threads hold copies; the last one outside of them ends them.
        if Arc::strong_count(&self.over) == 1 {
            self.over.store(true, Ordering::Relaxed);
        }
    }
}

fn would_block(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}
