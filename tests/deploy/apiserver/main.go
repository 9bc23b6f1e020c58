// Command apiserver is Kubernetes' own API server with the store that it needs, built from their modules: one program that a
// test starts on the loopback. Nothing schedules, runs or controls anything here: what is asked is what would be admitted.
//
//	apiserver --data=FOLDER --etcd-port=N [flags of kube-apiserver]
package main

import (
	"fmt"
	"net/url"
	"os"
	"strings"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() {
	if len(os.Args) < 3 || !strings.HasPrefix(os.Args[1], "--data=") || !strings.HasPrefix(os.Args[2], "--etcd-port=") {
		fmt.Fprintln(os.Stderr, "usage: apiserver --data=FOLDER --etcd-port=N [flags of kube-apiserver]")
		os.Exit(2)
	}
	folder := strings.TrimPrefix(os.Args[1], "--data=")
	address := "http://127.0.0.1:" + strings.TrimPrefix(os.Args[2], "--etcd-port=")
	if err := store(folder, address); err != nil {
		fmt.Fprintln(os.Stderr, "the store does not start:", err)
		os.Exit(1)
	}
	os.Args = append([]string{"kube-apiserver", "--etcd-servers=" + address}, os.Args[3:]...)
	os.Exit(cli.Run(app.NewAPIServerCommand()))
}

// store starts etcd in this process; it ends with it. What it holds is thrown away, so it need not reach a disk.
func store(folder, address string) error {
	client, err := url.Parse(address)
	if err != nil {
		return err
	}
	config := embed.NewConfig()
	config.Dir = folder
	config.UnsafeNoFsync = true
	config.LogLevel = "error"
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{*client}, []url.URL{*client}
	// A single member has no peers: any free port does.
	peer := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	server, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	<-server.Server.ReadyNotify()
	return nil
}
