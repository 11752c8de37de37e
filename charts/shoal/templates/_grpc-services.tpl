{{/* Every gRPC service that a gateway has, one a line: where HTTP and gRPC share a host, requests are told apart by these. */}}
{{- define "shoal.grpcServices" -}}
- grpc.health.v1.Health
- grpc.reflection.v1.ServerReflection
- grpc.reflection.v1alpha.ServerReflection
- shoal.v1.ClusterService
- shoal.v1.CollectionService
- shoal.v1.FeedbackService
- shoal.v1.KeyService
- shoal.v1.PointService
- shoal.v1.SearchService
- vectron.auth.v1.AuthService
- vectron.v1.VectronService
{{- end }}
