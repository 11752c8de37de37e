/**
 * What a cloud has in front of its nodes: passes connections on to the nodes' Envoys, and leaves out a node that does not say
 * every second that it is well. It is an Envoy too, with a fixed configuration.
 */

import type { Cluster } from '../description.ts';

/** Of each node's Envoy. */
const healthPort = 8002;

export function loadBalancerConfig(cluster: Cluster): unknown {
  const ports = [80, 443];
  return {
    static_resources: { listeners: ports.map((port) => listener(cluster.ingressAddress, port)), clusters: ports.map((port) => nodesOf(cluster, port)) },
  };
}

function listener(address: string, port: number): unknown {
  const proxy = { '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy', stat_prefix: `port-${port}`, cluster: `nodes-${port}`, max_connect_attempts: 3 };
  return {
    name: `port-${port}`,
    address: socketAddress(address, port),
    filter_chains: [{ filters: [{ name: 'envoy.filters.network.tcp_proxy', typed_config: proxy }] }],
  };
}

function nodesOf(cluster: Cluster, port: number): unknown {
  return {
    name: `nodes-${port}`,
    type: 'STATIC',
    connect_timeout: '1s',
    // Who was connected to a node that is gone shall hear of it, and not wait.
    close_connections_on_host_health_failure: true,
    common_lb_config: { healthy_panic_threshold: { value: 0 } },
    health_checks: [
      {
        timeout: '1s',
        interval: '1s',
        no_traffic_interval: '1s',
        unhealthy_threshold: 2,
        healthy_threshold: 1,
        http_health_check: { path: '/ready' },
      },
    ],
    load_assignment: {
      cluster_name: `nodes-${port}`,
      endpoints: [{ lb_endpoints: cluster.nodes.map(({ address }) => ({ endpoint: { address: socketAddress(address, port), health_check_config: { port_value: healthPort } } })) }],
    },
  };
}

function socketAddress(address: string, port: number): unknown {
  return { socket_address: { address, port_value: port } };
}
