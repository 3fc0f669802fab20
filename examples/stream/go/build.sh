#!/bin/sh
# Debian's libraries lie in a GOPATH. Files, and not the folder, are named: its path would get into the program,
# and the same source has to give the same bytes.
set -e
cd "$(dirname "$0")"
GO111MODULE=off GOPATH="${GOPATH:-/usr/share/gocode}" go build -trimpath -buildvcs=false -o worker *.go
