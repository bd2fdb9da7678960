//! What the test images are made of: one recipe each, one line in [`ALL`].

use serde_json::{Value, json};

pub struct Text {
    pub path: &'static str,
    pub text: &'static str,
    pub mode: u32,
}

/// An image: its file name, its references, what is in it and how it starts.
pub struct Recipe {
    pub file: &'static str,
    pub names: &'static [&'static str],
    pub packages: &'static [&'static str],
    pub files: &'static [Text],
    pub links: &'static [(&'static str, &'static str)],
    pub folders: &'static [(&'static str, u32)],
    pub command: &'static [&'static str],
    pub port: Option<&'static str>,
    pub stop_signal: &'static str,
}

impl Recipe {
    const BASE: Recipe = Recipe {
        file: "",
        names: &[],
        packages: &[],
        files: &[PASSWD, GROUP],
        links: &[],
        folders: &[("tmp", 0o1777), ("root", 0o700), ("proc", 0o555), ("sys", 0o555), ("dev", 0o755), ("run", 0o755)],
        command: &["sh"],
        port: None,
        stop_signal: "",
    };

    /// The `config` of the OCI image configuration.
    pub fn config(&self) -> Value {
        let mut config = json!({
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "Cmd": self.command,
        });
        if let Some(port) = self.port {
            config["ExposedPorts"] = json!({port: {}});
        }
        if !self.stop_signal.is_empty() {
            config["StopSignal"] = self.stop_signal.into();
        }
        config
    }
}

pub static ALL: &[Recipe] = &[BUSYBOX, NGINX, WEB_APP, PERL, FLUENTD, NET_TOOLS];

const PASSWD: Text = Text {
    path: "etc/passwd",
    text: "root:x:0:0:root:/root:/bin/sh\nwww:x:33:33:www:/var/www:/bin/sh\nnginx:x:101:101:nginx:/nonexistent:/bin/false\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
    mode: 0o644,
};
const GROUP: Text =
    Text { path: "etc/group", text: "root:x:0:\ntty:x:5:\nwww:x:33:\nnginx:x:101:\nnogroup:x:65534:\n", mode: 0o644 };

const BUSYBOX: Recipe = Recipe {
    file: "busybox",
    names: &["docker.io/library/busybox:latest", "docker.io/library/busybox:1.28", "docker.io/library/busybox:1.36"],
    packages: &["busybox", "libc6"],
    folders: &[
        ("tmp", 0o1777),
        ("root", 0o700),
        ("home", 0o755),
        ("proc", 0o555),
        ("sys", 0o555),
        ("dev", 0o755),
        ("run", 0o755),
        ("var/www", 0o755),
    ],
    ..Recipe::BASE
};

const NGINX_PACKAGES: &[&str] =
    &["busybox", "libc6", "libcrypt1", "libpcre2-8-0", "libssl3", "zlib1g", "libgcc-s1", "nginx", "nginx-common"];
const NGINX_CONF: Text = Text {
    path: "etc/nginx/nginx.conf",
    text: "user nginx;\nworker_processes 1;\nerror_log /var/log/nginx/error.log notice;\npid /run/nginx.pid;\n\
events { worker_connections 1024; }\n\
http {\n    include /etc/nginx/mime.types;\n    default_type application/octet-stream;\n\
    access_log /var/log/nginx/access.log;\n    sendfile on;\n    keepalive_timeout 65;\n\
    include /etc/nginx/conf.d/*.conf;\n}\n",
    mode: 0o644,
};
const NGINX_PAGE: Text = Text {
    path: "usr/share/nginx/html/index.html",
    text: "<!DOCTYPE html>\n<html>\n<head>\n<title>Welcome to nginx!</title>\n</head>\n<body>\n<h1>Welcome to nginx!</h1>\n</body>\n</html>\n",
    mode: 0o644,
};
const NGINX_LINKS: &[(&str, &str)] =
    &[("var/log/nginx/access.log", "/dev/stdout"), ("var/log/nginx/error.log", "/dev/stderr"), ("var/run", "/run")];
const NGINX_FOLDERS: &[(&str, u32)] = &[
    ("tmp", 0o1777),
    ("root", 0o700),
    ("proc", 0o555),
    ("sys", 0o555),
    ("dev", 0o755),
    ("run", 0o755),
    ("var/lib/nginx", 0o755),
];

const NGINX: Recipe = Recipe {
    file: "nginx",
    names: &[
        "docker.io/library/nginx:latest",
        "docker.io/library/nginx:1.14.2",
        "docker.io/library/nginx:1.16.1",
        "registry.k8s.io/nginx-slim:0.8",
    ],
    packages: NGINX_PACKAGES,
    files: &[
        PASSWD,
        GROUP,
        NGINX_CONF,
        NGINX_PAGE,
        Text {
            path: "etc/nginx/conf.d/default.conf",
            text: "server {\n    listen 80;\n    server_name localhost;\n    add_header X-Pod $hostname;\n\
    location / { root /usr/share/nginx/html; index index.html index.htm; }\n}\n",
            mode: 0o644,
        },
    ],
    links: NGINX_LINKS,
    folders: NGINX_FOLDERS,
    command: &["nginx", "-g", "daemon off;"],
    port: Some("80/tcp"),
    stop_signal: "SIGQUIT",
};

/// The web applications of the tutorials: each answers with its host's name, on ports 80 and 8080.
const WEB_APP: Recipe = Recipe {
    file: "web-app",
    names: &[
        "docker.io/yoonjeong/my-app:1.0",
        "docker.io/yoonjeong/my-app:2.0",
        "docker.io/yoonjeong/red-app:1.0",
        "docker.io/yoonjeong/blue-app:1.0",
        "docker.io/yoonjeong/green-app:1.0",
        "gcr.io/google_samples/gb-frontend:v3",
        "gcr.io/google_samples/gb-frontend:v4",
        "docker.io/1223yys/springboot-web:0.1.6",
        "docker.io/1223yys/springboot-web:0.1.7",
    ],
    packages: NGINX_PACKAGES,
    files: &[
        PASSWD,
        GROUP,
        NGINX_CONF,
        Text {
            path: "etc/nginx/conf.d/default.conf",
            text: "server {\n    listen 80;\n    listen 8080;\n    default_type text/plain;\n\
    location / { return 200 \"Hello from $hostname\\n\"; }\n}\n",
            mode: 0o644,
        },
    ],
    links: NGINX_LINKS,
    folders: NGINX_FOLDERS,
    command: &["nginx", "-g", "daemon off;"],
    port: Some("8080/tcp"),
    stop_signal: "SIGQUIT",
};

const PERL: Recipe = Recipe {
    file: "perl",
    names: &["docker.io/library/perl:5.34.0", "docker.io/library/perl:latest"],
    packages: &["busybox", "libc6", "libcrypt1", "perl-base", "perl-modules-5.36"],
    command: &["perl", "-de0"],
    ..Recipe::BASE
};

/// Stands in for the log collector: it follows the files below /var/log.
const FLUENTD: Recipe = Recipe {
    file: "fluentd",
    names: &["quay.io/fluentd_elasticsearch/fluentd:v2.5.2"],
    packages: &["busybox", "libc6"],
    command: &["sh", "-c", "tail -F /var/log/pods/*/*/*.log"],
    ..Recipe::BASE
};

const NET_TOOLS: Recipe = Recipe {
    file: "net-tools",
    names: &["docker.io/nicolaka/netshoot:latest", "docker.io/curlimages/curl:latest"],
    packages: &[
        "busybox",
        "libc6",
        "libgcc-s1",
        "libcrypt1",
        "zlib1g",
        "curl",
        "libcurl4",
        "libssl3",
        "libnghttp2-14",
        "libidn2-0",
        "librtmp1",
        "libssh2-1",
        "libpsl5",
        "libgssapi-krb5-2",
        "libldap-2.5-0",
        "libzstd1",
        "libbrotli1",
        "libunistring2",
        "libgnutls30",
        "libhogweed6",
        "libnettle8",
        "libgmp10",
        "libkrb5-3",
        "libk5crypto3",
        "libcom-err2",
        "libkrb5support0",
        "libsasl2-2",
        "libp11-kit0",
        "libtasn1-6",
        "libkeyutils1",
        "libffi8",
        "bind9-dnsutils",
        "bind9-libs",
        "bind9-host",
        "libuv1",
        "liblmdb0",
        "libmaxminddb0",
        "libxml2",
        "libjson-c5",
        "libicu72",
        "liblzma5",
        "libedit2",
        "libbsd0",
        "libmd0",
        "libtinfo6",
        "libstdc++6",
        "libprotobuf-c1",
        "libjemalloc2",
        "libfstrm0",
    ],
    ..Recipe::BASE
};
