//go:build tools

// Package tools names the programs that tools/bootstrap/setup.py builds from this module.
package tools

import (
	_ "github.com/influxdata/influxdb/v2/cmd/influxd"
	_ "github.com/influxdata/pkg-config"
)
