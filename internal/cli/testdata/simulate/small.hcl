cluster "small" {}

node "alpha" {}

node "beta" {
  standby = true
}

resource "site" {
  agent  = "ocf:heartbeat:Dummy"
}
