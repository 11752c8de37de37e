// The process that holds a pod's network while its containers come and go.
module shoal.dev/e2e/pause

go 1.24.0
