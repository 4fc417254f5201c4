from kernels.splat.op import splat as splat
