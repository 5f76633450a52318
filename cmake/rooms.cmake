# One CMake target per room of the house, linked to the rooms that its line in CMakeLists.txt names.
# That #include lines keep to the same order is checked by tools/check-layers, against
# tools/layers.txt.

include(CheckCCompilerFlag)

set(EW_ROOMS "" CACHE INTERNAL "object libraries that make up libedgewise")

add_library(ew_flags INTERFACE)
target_compile_options(ew_flags INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2
  -fno-math-errno -ffp-contract=off)
# GCC's manual advises against -Werror with sanitizers: their instrumentation brings false warnings.
if(EW_WERROR AND NOT EW_SANITIZE)
  # -O3 makes GCC guess wrongly about values that a status guards.
  target_compile_options(ew_flags INTERFACE -Werror
    $<$<C_COMPILER_ID:GNU>:-Wno-error=maybe-uninitialized>
    $<$<C_COMPILER_ID:Clang,AppleClang>:-Wno-pass-failed>) # a loop already unrolled is no fault
endif()
target_compile_definitions(ew_flags INTERFACE _POSIX_C_SOURCE=200809L _DEFAULT_SOURCE
  EW_VERSION="${PROJECT_VERSION}")
if(EW_SANITIZE)
  target_compile_options(ew_flags INTERFACE -fsanitize=${EW_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  target_link_options(ew_flags INTERFACE -fsanitize=${EW_SANITIZE})
endif()

# ew_room(name dependency...): the object library ew_<name> from src/<name>/*.c
function(ew_room name)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.c)
  if(NOT sources)
    return()
  endif()
  add_library(ew_${name} OBJECT ${sources})
  target_include_directories(ew_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(ew_${name} PUBLIC ew_flags)
  foreach(dependency ${ARGN})
    if(TARGET ${dependency} OR NOT dependency MATCHES "^ew_")
      target_link_libraries(ew_${name} PUBLIC ${dependency})
    endif()
  endforeach()
  set(EW_ROOMS ${EW_ROOMS} ew_${name} CACHE INTERNAL "")
endfunction()

# One object library per instruction set of the kernels room, each with its own flags: the program
# itself is built for the baseline processor and chooses at run time.
function(ew_kernel_variant isa)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/kernels/${isa}/*.c)
  if(NOT sources)
    return()
  endif()
  add_library(ew_kernels_${isa} OBJECT ${sources})
  target_include_directories(ew_kernels_${isa} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(ew_kernels_${isa} PRIVATE ew_flags)
  target_compile_options(ew_kernels_${isa} PRIVATE ${ARGN})
  target_compile_definitions(ew_kernels PRIVATE EW_HAVE_KERNELS_${isa}=1)
  set(EW_ROOMS ${EW_ROOMS} ew_kernels_${isa} CACHE INTERNAL "")
endfunction()

function(ew_kernel_variants)
  ew_kernel_variant(scalar)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    ew_kernel_variant(avx2 -mavx2 -mfma -mf16c)
    check_c_compiler_flag(-mavxvnni EW_HAVE_MAVXVNNI) # GCC 11, Clang 12
    if(EW_HAVE_MAVXVNNI)
      ew_kernel_variant(avxvnni -mavxvnni -mavx2 -mfma -mf16c)
    endif()
    ew_kernel_variant(avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mavx2 -mfma -mf16c)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
    ew_kernel_variant(neon)
    ew_kernel_variant(neon_dotprod -march=armv8.2-a+dotprod)
    check_c_compiler_flag(-march=armv8.2-a+dotprod+i8mm EW_HAVE_I8MM) # GCC 10, Clang 11
    if(EW_HAVE_I8MM)
      ew_kernel_variant(neon_i8mm -march=armv8.2-a+dotprod+i8mm)
    endif()
  endif()
endfunction()

# libedgewise, static and shared, from the objects of every room.
function(ew_libraries)
  set(objects "")
  foreach(room ${EW_ROOMS})
    list(APPEND objects $<TARGET_OBJECTS:${room}>)
  endforeach()
  foreach(kind static shared)
    string(TOUPPER ${kind} KIND)
    add_library(edgewise_${kind} ${KIND} ${objects})
    set_target_properties(edgewise_${kind} PROPERTIES OUTPUT_NAME edgewise
      VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR} LINKER_LANGUAGE C)
    target_include_directories(edgewise_${kind} PUBLIC
      $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    foreach(module ${EW_MODULES})
      string(REGEX REPLACE "=.*" "" prefix ${module})
      target_link_libraries(edgewise_${kind} PRIVATE PkgConfig::${prefix})
    endforeach()
    target_link_libraries(edgewise_${kind} PRIVATE Threads::Threads m)
    if(EW_SANITIZE)
      target_link_options(edgewise_${kind} PUBLIC $<BUILD_INTERFACE:-fsanitize=${EW_SANITIZE}>)
    elseif(kind STREQUAL shared AND NOT APPLE)
      target_link_options(edgewise_shared PRIVATE -Wl,--no-undefined)
    endif()
  endforeach()
endfunction()
