#ifndef BACKTRAIL_BLAS_CORE_H
#define BACKTRAIL_BLAS_CORE_H

/// Makes OpenBLAS use its AVX-512 kernels on processors that have AVX-512 but are newer than OpenBLAS, which then
/// takes kernels of half the speed. Does nothing where OPENBLAS_CORETYPE is set, or OpenBLAS was built for one kind of
/// processor. Call it before any other use of OpenBLAS.
void ck_choose_blas_core(void);

#endif
