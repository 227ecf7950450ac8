cluster "web" {
  detection     = "fast"
  watchdog      = { device = "/dev/watchdog", timeout = "5s" }
  no_quorum     = "freeze"
  fencing       = true
  batch_limit   = 30
  options_set "night" {
    score  = 5
    rule   = "date spec hours=22-23 weekdays=1-5"
    values = { maintenance_mode = true }
  }
}

node "alpha" {
  attributes = {
    rack  = "a"
    "1st" = "yes"
  }
  utilization = { cpu = 4 }
}

node "beta" {
  standby = false
}

node "3rd" {
  score = -10
}

template "base" {
  agent = "ocf:heartbeat:Dummy"
  op "monitor" {
    interval = "30s"
  }
}

fence_device "power" {
  hosts = {
    alpha = 1
    beta  = 2
  }
  delay = "5s"
  agent = "fence_ipmilan"
  params = {
    ip       = "10.0.9.1"
    password = file("/etc/ha/ipmi")
  }
}

fence_device "strip" {
  agent  = "fence_apc"
  params = { pcmk_host_list = "alpha beta", pcmk_host_map = "alpha:1; beta:2" }
}

resource "vip" {
  agent  = "ha:ip"
  params = { address = "10.0.0.100/24" }
  op "monitor" {
    interval = "10s"
    meta     = { timeout = "9s" }
    params   = { OCF_CHECK_LEVEL = 10 }
  }
}

resource "nginx" {
  description = "the \"front\" door, $${literal}"
  agent       = "systemd:nginx"
  meta = {
    migration_threshold = 3
    failure_timeout     = "5400s"
    target_role         = "started"
  }
  meta_set "weekend" {
    score  = 10
    rule   = "date spec weekdays=6-7 or attr.cpu lt 4 and node eq alpha"
    values = { resource_stickiness = infinity }
  }
  op "monitor" {
    interval = "10s"
    timeout  = "20s"
    on_fail  = "restart"
  }
  op "start" {
    timeout = "1min"
  }
}

group "site" {
  members = ["vip", "nginx"]
}

resource "pg" {
  agent = "ocf:heartbeat:pgsql"
  op "monitor" {
    interval = "3s"
    role     = "promoted"
  }
  op "monitor" {
    interval = "4s"
    role     = "unpromoted"
  }
}

clone "pg-ha" {
  resource   = "pg"
  promotable = true
  meta = {
    notify       = true
    promoted_max = 1
  }
}

resource "inner" {
  template = "base"
}

bundle "box" {
  resource       = "inner"
  engine         = "podman"
  image          = "local:web"
  replicas       = 2
  ip_range_start = "10.0.0.200"
  options        = "--log-driver=journald"
  port "http" {
    port = 80
  }
  storage "html" {
    source_root = "/srv/html"
    target      = "/var/www"
  }
}

fencing_level "alpha" {
  level   = 1
  devices = ["power"]
}

fencing_level "rack" {
  attribute = "rack"
  value     = "a"
  level     = 2
  devices   = ["power"]
}

tag "all-db" {
  references = ["pg-ha"]
}

location "site-likes-alpha" {
  resource = "site"
  node     = "alpha"
  score    = 100
}

location "not-on-weak" {
  resource = "pg-ha"
  score    = -infinity
  rule     = "attr.cpu lt 4 or not_defined attr.cpu"
}

location "many" {
  pattern = "^d.*$"
  rule "by-rack" {
    score = 5
    when  = "(attr.rack eq a or attr.rack eq \"b c\") and date in \"2026-01-01\" to \"2026-02-01\""
  }
}

colocation "site-with-pg" {
  resource  = "site"
  with      = "pg-ha"
  with_role = "promoted"
  score     = infinity
}

colocation "sets" {
  score = -infinity
  set {
    resources  = ["site", "box"]
    sequential = false
    role       = "started"
  }
  set {
    resources = ["pg-ha"]
  }
}

order "pg-then-site" {
  first        = "pg-ha"
  first_action = "promote"
  then         = "site"
  kind         = "optional"
}

ticket "berlin" {
  ticket      = "berlin-ticket"
  resource    = "pg-ha"
  role        = "promoted"
  loss_policy = "demote"
}

defaults {
  resource  = { resource_stickiness = 1 }
  operation = { timeout = "30s" }
  resource_set "dummies" {
    rule   = "resource ocf:heartbeat:Dummy and op monitor interval=10s"
    values = { priority = 2 }
  }
}

alert "ops" {
  path       = "/usr/local/bin/notify"
  recipients = ["ops"]
}

role "watch" {
  allow "read" {
    xpath = "/cib"
  }
  deny {
    reference = "pg"
  }
}

user "joe" {
  roles = ["watch"]
}
