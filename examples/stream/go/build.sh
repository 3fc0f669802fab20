#!/bin/sh
# Debian's libraries lie in a GOPATH; with modules, leave both variables out and write a go.mod.
set -e
cd "$(dirname "$0")"
GO111MODULE=off GOPATH="${GOPATH:-/usr/share/gocode}" go build -trimpath -o worker .
